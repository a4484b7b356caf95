//! The web page in a real browser: what a person sees of the sessions, and what each press does.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::asking::{asking, held, id, waiting};
use crate::support::local::Local;
use crate::support::{
    Browser, ENTER, Launch, Origin, Proxy, Resolver, SPACE, TAB, Ui, Wire, browser_is_here, ok,
    require,
};

/// A session that asks, and a browser that shows it.
pub(crate) struct Desk {
    pub(crate) browser: Browser,
    pub(crate) ui: Ui,
    pub(crate) proxy: Proxy,
    origin: Origin,
    _resolver: Resolver,
}

impl Desk {
    #[track_caller]
    pub(crate) fn new(further: &str) -> Self {
        let (proxy, resolver) = asking(further);
        let ui = Ui::start(&proxy.home);
        let browser = Browser::start(&proxy.home);
        browser.open(&ui.invitation);
        let desk = Self {
            browser,
            ui,
            proxy,
            origin: Origin::echo(),
            _resolver: resolver,
        };
        desk.shows(desk.proxy.id());
        desk
    }

    /// Waits until the page has this session.
    #[track_caller]
    pub(crate) fn shows(&self, session: &str) {
        let option = format!("document.querySelector('#session [value=\"{session}\"]')");
        self.browser.until(&option);
    }

    /// A tunnel that is held, whose target answers.
    #[track_caller]
    pub(crate) fn asks(&self, host: &str) -> (Wire, String) {
        let target = format!("{host}:{}", self.origin.port());
        let (client, _) = held(&self.proxy, &target);
        self.browser.until(&card(host));
        (client, target)
    }

    /// Presses a button of a request, once it has stood there for a moment.
    #[track_caller]
    fn press(&self, host: &str, label: &str) {
        self.browser.click(&button(host, label));
    }

    #[track_caller]
    fn says(&self, words: &str) {
        let notices = "document.getElementById('notices').innerText";
        self.browser
            .until(&format!("{notices}.includes({})", json!(words)));
    }

    fn rules(&self) -> Vec<Value> {
        let rules = self.proxy.read("/rules");
        rules["rules"].as_array().expect("rules").clone()
    }
}

/// The request for this host, as an expression.
fn card(host: &str) -> String {
    format!(
        "[...document.querySelectorAll('.card')].find((e) => e.querySelector('.host').textContent.startsWith({}))",
        json!(host)
    )
}

fn button(host: &str, label: &str) -> String {
    format!(
        "[...{}.querySelectorAll('button')].find((e) => e.innerText.startsWith({}) && !e.disabled && !e.closest('.fresh'))",
        card(host),
        json!(label)
    )
}

#[track_caller]
fn goes_on(client: &mut Wire) {
    assert_eq!(client.head().status(), 200);
    client.send("hello");
    assert_eq!(client.exactly(5), b"hello");
}

#[test]
fn each_button_does_what_it_says() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (mut client, target) = desk.asks("one.test");
    assert_eq!(desk.browser.says("return document.title"), "(1) vibepit");
    let file = || {
        desk.proxy
            .home
            .state()
            .join("vibepit/decisions/global.toml")
    };

    desk.press("one.test", "Once");
    goes_on(&mut client);
    desk.says(&format!("Allowed {target} once. Goes on: 1 connection."));
    assert_eq!(desk.rules(), [] as [Value; 0]);
    desk.browser.until(&format!("!({})", card("one.test")));
    assert_eq!(desk.browser.says("return document.title"), "vibepit");

    let (mut client, target) = desk.asks("one.test");
    desk.press("one.test", "Deny");
    assert_eq!(client.answer().status(), 403);
    desk.says(&format!("Denied {target} once."));
    assert_eq!(desk.rules(), [] as [Value; 0]);

    let (mut client, target) = desk.asks("two.test");
    desk.press("two.test", "Allow (session)");
    goes_on(&mut client);
    desk.says(&format!("Allowed {target} until the session ends."));
    let rules = desk.rules();
    assert_eq!(
        (&rules[0]["entry"], &rules[0]["scope"]),
        (&json!(target), &json!("session"))
    );
    assert!(!file().exists());

    let (mut client, target) = desk.asks("api.group.test");
    assert_eq!(
        client_project(&desk, "api.group.test"),
        json!(true),
        "there is no project"
    );
    desk.press("api.group.test", "Save to global");
    assert_ne!(client.head().status(), 403);
    desk.says("Saved to ");
    let saved = fs::read_to_string(file()).expect("what was saved");
    assert!(saved.contains(&target), "{saved}");
}

#[test]
fn what_is_saved_to_the_project_is_in_its_file_and_holds_in_its_sandbox() {
    if !browser_is_here() || !require("user-namespaces") || !require("curl") {
        return;
    }
    let origin = Origin::answering(|request| ok(&request.start));
    let resolver = Resolver::at_loopback(&["one.test"]);
    let config = format!("allow_cidr = [\"127.0.0.0/8\"]\n{}", resolver.config());
    let bench = Local::new(&config, None);
    let fetch = format!("curl -sS -m 100 http://one.test:{}/x", origin.port());
    let mut held = bench.start(
        &["--ask"],
        &["sh", "-c", &format!("{fetch}; echo; {fetch}; echo")],
    );
    let ui = Ui::start(&bench.home);
    let browser = Browser::start(&bench.home);
    browser.open(&ui.invitation);
    browser.until(&card("one.test"));
    browser.click(&button("one.test", "Save to project"));
    let said = "document.getElementById('notices').innerText.includes('Saved to ')";
    browser.until(said);
    // The second one is not held.
    for _ in 0..2 {
        assert_eq!(held.line(), "GET /x HTTP/1.1");
    }
    assert_eq!(held.end().0, Some(0));
    let files = bench.home.state().join("vibepit/decisions/projects");
    let mut saved = fs::read_dir(files).expect("decisions of projects");
    let file = saved.next().expect("a file").expect("a file").path();
    assert!(saved.next().is_none(), "one project");
    let text = fs::read_to_string(&file).expect("what was saved");
    assert!(
        text.contains(&format!("one.test:{}", origin.port())),
        "{text}"
    );
    let global = bench.home.state().join("vibepit/decisions/global.toml");
    assert!(!global.exists(), "nothing holds everywhere");
    bench.is_clean();
}

/// Whether "Save to project" cannot be pressed.
fn client_project(desk: &Desk, host: &str) -> Value {
    desk.browser
        .says(&format!("return {}.parts.p.disabled", card(host)))
}

#[test]
fn a_wildcard_shows_what_it_would_cover_and_is_saved_once_that_is_meant() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (mut client, target) = desk.asks("api.group.test");
    let (mut other, covered) = desk.asks("two.group.test");
    let port = desk.origin.port();
    let part = |selector: &str| format!("{}.querySelector('{selector}')", card("api.group.test"));
    desk.browser.click(&part("summary"));
    desk.browser
        .click(&part("fieldset label:nth-of-type(2) input"));
    let preview = format!("{}.parts.preview.innerText", card("api.group.test"));
    let shown = desk
        .browser
        .until(&format!("{preview}.includes('Covers 2') && {preview}"));
    let shown = shown.as_str().expect("a text");
    for words in [&format!("Rule: *.group.test:{port}"), &target, &covered] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // One that does not cover what was asked is said to be none.
    let pattern = format!("{}.parts.pattern", card("api.group.test"));
    desk.browser.click(&pattern);
    desk.browser.says(&format!("{pattern}.select()"));
    desk.browser.types("*.else.test");
    desk.browser
        .until(&format!("{preview}.includes('does not cover {target}')"));
    desk.browser.says(&format!("{pattern}.select()"));
    desk.browser.types("*.com");
    desk.browser
        .until(&format!("{preview}.includes('public suffix')"));
    desk.browser.says(&format!("{pattern}.select()"));
    desk.browser.types("*.group.test");
    desk.browser
        .until(&format!("{preview}.includes('Covers 2')"));

    desk.press("api.group.test", "Save to global");
    desk.browser.until(&format!(
        "{}.parts.sure.innerText.includes('covers many hosts')",
        card("api.group.test")
    ));
    assert_eq!(waiting(&desk.proxy).len(), 2, "nothing is decided yet");
    desk.press("api.group.test", "Save the wildcard");
    assert_ne!(client.head().status(), 403);
    assert_ne!(other.head().status(), 403);
    assert_eq!(desk.rules()[0]["entry"], format!("*.group.test:{port}"));
}

#[test]
fn a_time_limit_and_the_reason_of_a_denial_are_what_was_chosen() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (mut client, target) = desk.asks("one.test");
    let parts = format!("{}.parts", card("one.test"));
    desk.browser
        .click(&format!("{}.querySelector('summary')", card("one.test")));
    desk.browser.says(&format!("{parts}.ttl.focus()"));
    desk.browser.types("10");
    desk.press("one.test", "Allow (10 minutes)");
    goes_on(&mut client);
    let rule = &desk.rules()[0];
    assert_eq!(rule["entry"], json!(target));
    assert!(rule["expires_at"].is_string(), "{rule}");

    let (mut client, _) = desk.asks("two.test");
    desk.browser
        .click(&format!("{}.querySelector('summary')", card("two.test")));
    desk.browser
        .click(&format!("{}.parts.reason", card("two.test")));
    desk.browser.types("use the mirror");
    desk.press("two.test", "Deny");
    assert!(client.answer().text().contains("denied: use the mirror"));
}

#[test]
fn two_tabs_agree() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (first, second) = desk.browser.new_tab();
    desk.browser.open(&format!("http://{}/", desk.ui.address));
    let (mut client, _) = desk.asks("one.test");
    desk.browser.go_to(&first);
    desk.press("one.test", "Allow (session)");
    goes_on(&mut client);
    desk.browser.go_to(&second);
    desk.browser.until(&format!("!({})", card("one.test")));
    desk.browser.click("document.getElementById('tab-rules')");
    desk.browser
        .until("document.getElementById('rule-list').innerText.includes('one.test')");
    // A rule that is revoked here is gone there.
    desk.browser
        .click("document.querySelector('#rule-list button')");
    desk.says("Revoked one.test");
    assert_eq!(desk.rules(), [] as [Value; 0]);
    desk.browser.go_to(&first);
    desk.browser.click("document.getElementById('tab-rules')");
    desk.browser
        .until("!document.getElementById('rule-list').innerText.includes('one.test')");
}

#[test]
fn the_list_survives_a_proxy_that_is_started_anew_and_processes_that_were_asleep() {
    if !browser_is_here() {
        return;
    }
    let mut desk = Desk::new("");
    let (_client, _) = desk.asks("one.test");
    // A laptop's sleep: nothing runs meanwhile.
    desk.ui.running.signal(Signal::SIGSTOP);
    let (mut two, _) = held(&desk.proxy, "two.test:443");
    desk.ui.running.signal(Signal::SIGCONT);
    desk.browser.until(&card("two.test"));
    desk.proxy.signal(Signal::SIGSTOP);
    desk.proxy.signal(Signal::SIGCONT);
    let (_three, _) = desk.asks("api.group.test");
    desk.press("two.test", "Deny");
    assert_eq!(two.answer().status(), 403);

    let resolver = Resolver::at_loopback(&["one.test"]);
    let config = format!(
        "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n",
        resolver.config()
    );
    let home = desk.proxy.home.clone();
    desk.proxy = Launch::new(config).home(&home).start();
    desk.shows(desk.proxy.id());
    desk.browser
        .until("document.querySelectorAll('.card').length === 0");
    let (mut client, _) = desk.asks("one.test");
    desk.press("one.test", "Allow (session)");
    goes_on(&mut client);

    // And one that ended is said to have.
    let port = desk.ui.address.port();
    drop(desk.ui);
    desk.browser
        .until("document.getElementById('live').innerText.startsWith('Not connected')");
    desk.ui = Ui::at(&home, port);
    desk.browser
        .until("!document.getElementById('locked').hidden");
    desk.browser.open(&desk.ui.invitation);
    desk.shows(desk.proxy.id());
}

#[test]
fn a_decision_that_cannot_be_saved_says_so_until_it_is_read() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let decisions = desk.proxy.home.state().join("vibepit/decisions");
    fs::create_dir_all(decisions.join("global.toml/in the way")).expect("a directory");
    let (mut client, target) = desk.asks("one.test");
    desk.press("one.test", "Save to global");
    goes_on(&mut client);
    desk.says(&format!(
        "Allowed {target} for this session only. It could not be saved"
    ));
    let role = "document.querySelector('.notice.bad').getAttribute('role')";
    assert_eq!(desk.browser.says(&format!("return {role}")), "alert");
    desk.browser
        .click("document.querySelector('.notice.bad button')");
    desk.browser.until("!document.querySelector('.notice.bad')");
}

#[test]
fn a_keyboard_is_all_that_is_needed() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (mut one, _) = desk.asks("one.test");
    let (mut two, target) = desk.asks("two.test");
    let (mut three, _) = desk.asks("api.group.test");
    let settled = "!document.querySelector('.fresh')";
    desk.browser.until(settled);
    // The letters decide about what has the focus, and about nothing without it.
    desk.browser.types("a");
    assert_eq!(waiting(&desk.proxy).len(), 3);
    desk.browser.types("jj");
    desk.browser
        .until(&format!("document.activeElement === {}", card("two.test")));
    desk.browser.types("k");
    desk.browser.types("o");
    goes_on(&mut one);
    // The focus goes to what stands in its place, and a further press is not taken for an answer.
    desk.browser
        .until(&format!("document.activeElement === {}", card("two.test")));
    desk.browser.until(settled);
    desk.browser.types("td");
    assert_eq!(two.answer().status(), 403);
    desk.says(&format!("Denied {target} once."));
    desk.browser.until(&format!(
        "document.activeElement === {}",
        card("api.group.test")
    ));
    desk.browser.until(settled);
    // By Tab and Enter alone: the first button of the card.
    desk.browser.types(TAB);
    desk.browser
        .until("document.activeElement.innerText.startsWith('Allow')");
    desk.browser.types(ENTER);
    assert_ne!(three.head().status(), 403);
    // The views, the list of keys, and a revoked rule.
    desk.browser.types("?");
    desk.browser.until("document.getElementById('help').open");
    desk.browser
        .until("document.getElementById('help').contains(document.activeElement)");
    desk.browser.types("\u{e00c}");
    desk.browser.until("!document.getElementById('help').open");
    desk.browser.types("3");
    desk.browser.until(
        "!document.getElementById('rules').hidden && document.querySelector('#rule-list button')",
    );
    desk.browser
        .says("document.getElementById('find-rules').focus()");
    desk.browser.types(TAB);
    desk.browser
        .until("document.activeElement.innerText === 'Revoke'");
    desk.browser.types(SPACE);
    desk.says("Revoked api.group.test");
    assert_eq!(desk.rules(), [] as [Value; 0]);
}

#[test]
fn what_has_just_come_or_moved_is_not_decided_by_a_press_that_was_meant_for_another() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (_one, _) = desk.asks("one.test");
    let (_two, _) = desk.asks("two.test");
    let tops = "return [...document.querySelectorAll('.card')].map((e) => e.offsetTop)";
    desk.browser.until("!document.querySelector('.fresh')");
    let before = desk.browser.says(tops);
    let (_three, _) = desk.asks("api.group.test");
    let after = desk.browser.says(tops);
    assert_eq!(
        after[0], before[0],
        "what comes is put behind what is there"
    );
    assert_eq!(after[1], before[1]);
    // In one turn of the page: the first goes, the second takes its place, and is pressed.
    desk.browser.says(&format!(
        "const next = {};
         new MutationObserver((changes, self) => {{
           if ({}) return;
           self.disconnect();
           next.parts.a.click();
           window.pressed = true;
         }}).observe(document.getElementById('waiting'), {{childList: true}})",
        card("two.test"),
        card("one.test")
    ));
    let first = waiting(&desk.proxy)[0].clone();
    desk.proxy
        .does(&format!("/deny-domain/{}", id(&first)), &json!({}));
    desk.browser.until("window.pressed");
    desk.browser
        .until("document.getElementById('say').innerText.includes('has just moved')");
    assert_eq!(waiting(&desk.proxy).len(), 2);
}
