//! The web page for everybody, and for nobody else: what a check of accessibility looks at, both
//! themes, narrow screens; and what a browser says of its security.
//!
//! The check is one of our own, after the rules of WCAG 2.2 that a program can hold a page to.

use serde_json::{Value, json};

use crate::asking::waiting;
use crate::support::{Launch, browser_is_here};
use crate::ui_page::Desk;

/// Faults that the check finds on the page as it stands, one sentence each.
const CHECK: &str = r##"
const faults = [];
const fault = (e, why) => faults.push(`${why}: ${e.outerHTML.slice(0, 120)}`);
const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen, .skip");
const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
const words = (e) => (e?.textContent ?? "").trim();
const name = (e) => e.getAttribute("aria-label")
  || (e.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => words(document.getElementById(id))).join(" ").trim()
  || [...(e.labels ?? [])].map(words).join(" ").trim()
  || (e.matches("button, a, summary, [role=tab]") ? words(e) : "");
for (const e of all("button, a[href], input, select, textarea, summary, [role=tab]")) {
  if (!name(e)) fault(e, "a control has no name");
  const box = e.getBoundingClientRect();
  if (box.width < 16 || box.height < 16) fault(e, "a control is too small to be hit");
  if (e.tabIndex > 0) fault(e, "a control is out of the order of the page");
}
for (const e of all("[role=tabpanel], dialog, ol, [role=tablist], [role=group]"))
  if (!name(e)) fault(e, "a region has no name");
for (const e of all("[aria-controls], [aria-labelledby], [aria-describedby]"))
  for (const part of ["aria-controls", "aria-labelledby", "aria-describedby"])
    for (const id of (e.getAttribute(part) ?? "").split(" ").filter(Boolean))
      if (!document.getElementById(id)) fault(e, `${part} names nothing`);
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => faults.push(`two are called ${id}`));
let level = 0;
for (const e of all("h1, h2, h3, h4")) {
  const own = Number(e.tagName[1]);
  if (own > level + 1) fault(e, "a heading leaves one out");
  level = own;
}
if (all("h1").length !== 1) faults.push("not one h1");
if (all("main").length !== 1) faults.push("not one main");
if (!document.documentElement.lang) faults.push("no language");
for (const list of all("ol, ul"))
  for (const e of list.children) if (e.tagName !== "LI") fault(e, "a list has more than items");
if (document.documentElement.scrollWidth > innerWidth) faults.push(`it is ${document.documentElement.scrollWidth} wide`);
const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (color) => {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = color;
  paint.fillRect(0, 0, 1, 1);
  return [...paint.getImageData(0, 0, 1, 1).data];
};
const ground = (e) => {
  for (let at = e; at; at = at.parentElement) {
    const color = rgba(getComputedStyle(at).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255, 255];
};
const light = (color) => {
  const [r, g, b] = color.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [x, y] = [light(a), light(b)].sort((x, y) => y - x);
  return (x + 0.05) / (y + 0.05);
};
for (const e of all("body *")) {
  const own = [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const disabled = e.closest(":disabled");
  if (!own || disabled) continue;
  const ratio = contrast(rgba(getComputedStyle(e).color), ground(e));
  if (ratio < 4.5) fault(e, `contrast ${ratio.toFixed(2)}`);
}
for (const e of all("input, select, button:not(.main, [role=tab], :disabled)")) {
  const ratio = contrast(rgba(getComputedStyle(e).borderTopColor), ground(e.parentElement));
  if (ratio < 3 && !e.matches("[type=checkbox], [type=radio]")) fault(e, `its edge has contrast ${ratio.toFixed(2)}`);
}
return faults;
"##;

#[test]
fn no_fault_of_accessibility_is_found_in_any_view_theme_or_width() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("allow = [\"amazon.com\"]\n");
    let _held: Vec<_> = ["arnazon.com", "xn--bcher-kva.example", "api.group.test"]
        .map(|host| desk.asks(host))
        .into();
    let checked = |what: &str| {
        let faults = desk.browser.says(CHECK);
        assert_eq!(faults, json!([]), "{what}");
    };
    desk.browser.says(
        "document.querySelectorAll('details').forEach((e) => (e.open = true));
         const { wide } = document.querySelectorAll('.card')[2].parts;
         wide.click()",
    );
    desk.browser
        .until("document.querySelector('.preview:not([hidden])')?.innerText.includes('Covers')");
    for (width, theme) in [
        (1280, "light"),
        (1280, "dark"),
        (360, "light"),
        (360, "dark"),
    ] {
        desk.browser.looks(width, theme);
        for view in ["requests", "sessions", "rules", "log", "audit"] {
            desk.browser
                .says(&format!("document.getElementById('tab-{view}').click()"));
            checked(&format!("{view}, {width}, {theme}"));
        }
        desk.browser
            .says("document.getElementById('help').showModal()");
        checked(&format!("options, {width}, {theme}"));
        desk.browser.says("document.getElementById('help').close()");
    }
    // The check finds what it is there to find.
    desk.browser.says(
        "const e = document.createElement('button');
         e.style.color = '#777'; e.style.background = '#777'; document.body.append(e)",
    );
    let faults = desk.browser.says(CHECK);
    assert!(faults.to_string().contains("has no name"), "{faults}");
}

/// WEB-008.
#[test]
fn nothing_is_asked_of_another_host_and_no_policy_is_broken_whatever_a_session_is_called() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let (_client, _) = desk.asks("one.test");
    let other = Launch::new("")
        .home(&desk.proxy.home)
        .argument("--name=<img src=//evil.example onerror=alert(1)>\u{202e}")
        .start();
    desk.shows(other.id());
    for view in ["sessions", "rules", "log", "audit", "requests"] {
        desk.browser
            .click(&format!("document.getElementById('tab-{view}')"));
    }
    desk.browser
        .click("document.getElementById('tab-sessions')");
    let shown = desk.browser.until(
        "document.getElementById('session-list').innerText.includes('onerror')
         && document.getElementById('session-list').innerText",
    );
    let shown = shown.as_str().expect("a text");
    assert!(
        shown.contains("<img src=//evil.example onerror=alert(1)>\\u{202e}"),
        "{shown}"
    );
    assert_eq!(desk.browser.says("return document.images.length"), json!(0));
    let own = format!("http://{}/", desk.ui.address);
    let requested = desk.browser.requested();
    assert!(
        requested
            .iter()
            .any(|url| *url == format!("{own}api/events")),
        "{requested:?}"
    );
    for url in &requested {
        // Beside the page, there is what the browser draws of itself before any.
        let schemes = ["data:", "chrome://", "chrome-untrusted://"];
        let is_nobodys = schemes.iter().any(|scheme| url.starts_with(scheme));
        assert!(url.starts_with(&own) || is_nobodys, "{url}");
    }
    for complaint in desk.browser.complaints() {
        // The page as it is got before it has entered.
        assert!(complaint.contains("401"), "{complaint}");
    }
    // WEB-006: nothing of the code is left where it could be read.
    let place = desk
        .browser
        .says("return [location.href, document.referrer, document.cookie]");
    assert_eq!(place, json!([own, "", ""]));
    // The policy is in force: markup and inline scripts do nothing.
    let refused = desk.browser.says(
        "try { document.body.innerHTML = '<b>x</b>'; return 'done'; } catch (e) { return e.name; }",
    );
    assert_eq!(refused, Value::from("TypeError"));
}

#[test]
fn notices_are_off_until_somebody_asks_for_them() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    let checked = |id: &str| {
        desk.browser
            .says(&format!("return document.getElementById('{id}').checked"))
    };
    assert_eq!(checked("use-notifications"), json!(false));
    assert_eq!(checked("use-sound"), json!(false));
    assert_eq!(checked("use-keys"), json!(true));
    assert_eq!(
        desk.browser
            .says("return Notification.permission !== 'granted'"),
        json!(true)
    );
    // Keys that are switched off decide nothing.
    desk.browser.click("document.getElementById('open-help')");
    desk.browser.click("document.getElementById('use-keys')");
    desk.browser.click("document.getElementById('close-help')");
    let (_client, _) = desk.asks("one.test");
    desk.browser.until("!document.querySelector('.fresh')");
    desk.browser.says("document.querySelector('.card').focus()");
    desk.browser.types("a");
    desk.browser.types("3");
    assert_eq!(
        desk.browser
            .says("return document.getElementById('rules').hidden"),
        json!(true)
    );
    assert_eq!(waiting(&desk.proxy).len(), 1);
}

#[test]
fn whoever_asked_for_notices_gets_one_a_request_while_the_page_is_out_of_sight() {
    if !browser_is_here() {
        return;
    }
    let desk = Desk::new("");
    // A browser without a screen has no desktop and no loudspeaker: these stand in their place.
    desk.browser.says(
        "window.shown = []; window.tones = 0; window.away = false;
         window.Notification = class {
           static permission = 'default';
           static async requestPermission() { return (Notification.permission = 'granted'); }
           constructor(title, more) { shown.push([title, more.body]); }
         };
         const start = OscillatorNode.prototype.start;
         OscillatorNode.prototype.start = function () { tones += 1; return start.call(this); };
         Object.defineProperty(document, 'hidden', { get: () => away });",
    );
    let (_first, _) = desk.asks("one.test");
    assert_eq!(
        desk.browser.says("return [shown.length, tones]"),
        json!([0, 0])
    );
    desk.browser.click("document.getElementById('open-help')");
    desk.browser
        .click("document.getElementById('use-notifications')");
    desk.browser.click("document.getElementById('use-sound')");
    desk.browser.until("Notification.permission === 'granted'");
    desk.browser.until("tones === 1");
    desk.browser.click("document.getElementById('close-help')");
    let (_second, _) = desk.asks("two.test");
    assert_eq!(
        desk.browser.says("return [shown.length, tones]"),
        json!([0, 2]),
        "who looks at the page needs no notification"
    );
    desk.browser.says("away = true");
    let (_third, target) = desk.asks("three.test");
    let shown = desk.browser.says("return shown");
    assert_eq!(shown[0][0], json!(target));
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!(desk.browser.says("return tones"), json!(3));
}
