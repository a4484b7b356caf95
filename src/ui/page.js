// The page of all sessions. Whatever comes from one goes into the document as text, as nothing else.

const $ = (id) => document.getElementById(id);
const KEY = "vibepit-key";
const VIEWS = ["requests", "sessions", "rules", "log", "audit"];
const LOG_MAX = 1000;
const ROWS_MAX = 400;
// Nothing is decided by a press that was meant for what stood there a moment ago.
const SETTLING = 500;

let sessions = new Map();
let view = "requests";
let last = null;
let current = null;
let auditOf = null;
const fresh = new Map();
const order = new Map();
let placed = 0;

// --- Elements

function h(tag, fields = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name in e && !name.includes("-")) e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children.filter((child) => child !== null));
  return e;
}

function text(e, said) {
  if (e.textContent !== said) e.textContent = said;
}

// Makes an element's children those of a list, by key. What stays keeps focus and what was typed.
function list(parent, items, keyOf, make, update = () => {}) {
  const wanted = new Set(items.map(keyOf));
  const have = new Map();
  for (const e of [...parent.children]) {
    if (wanted.has(e.dataset.key)) have.set(e.dataset.key, e);
    else e.remove();
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const e = have.get(key) ?? make(item);
    e.dataset.key = key;
    update(e, item);
    if (e === at) at = at.nextElementSibling;
    else parent.insertBefore(e, at);
  }
}

// --- Words

const target = (one) => (one.domain.includes(":") ? `[${one.domain}]` : one.domain) + (one.port === null ? "" : `:${one.port}`);
const clock = (time) => new Date(time).toLocaleTimeString();
const moment = (time) => new Date(time).toLocaleString();
const many = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
const HOLDS = { once: "once", session: "until the session ends", project: "for this project", global: "everywhere" };
const name = (session) => session.record.name;

function stamp(time, full = false) {
  return h("time", { dateTime: time }, full ? moment(time) : clock(time));
}

function say(words) {
  text($("say"), "");
  setTimeout(() => text($("say"), words), 50);
}

function notice(words, bad = false) {
  const e = h("div", { className: bad ? "notice bad" : "notice", role: bad ? "alert" : "status" }, words);
  if (bad) e.append(h("button", { type: "button", "aria-label": "Dismiss", onclick: () => e.remove() }, "✕"));
  else setTimeout(() => e.remove(), 6000);
  $("notices").append(e);
  while ($("notices").children.length > 4) $("notices").firstElementChild.remove();
}

// --- The gateway

function said() {
  return { "vibepit-key": localStorage.getItem(KEY) ?? "" };
}

async function call(path, body) {
  const how = body === undefined ? { headers: said() } : {
    method: "POST",
    headers: { ...said(), "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  try {
    const answer = await fetch(path, how);
    if (answer.status === 401 && path !== "/enter") locked(true);
    return { ok: answer.ok, status: answer.status, said: await answer.json() };
  } catch {
    return { ok: false, status: 0, said: { title: "not sent", detail: "vibepit ui does not answer" } };
  }
}

const why = (answer) => `${answer.said.title}: ${answer.said.detail}`;

function locked(is) {
  $("locked").hidden = !is;
  $("tabs").hidden = is;
  for (const id of VIEWS) $(id).hidden = is || id !== view;
  if (is) live(false, "Not let in");
}

function live(is, words) {
  $("live").className = is ? "on" : "";
  text($("live"), words);
}

// The code is taken out of the address before anything else happens.
async function enter() {
  const code = location.hash.slice(1);
  if (!/^[0-9a-f]{64}$/.test(code)) return;
  history.replaceState(null, "", location.pathname);
  const answer = await call("/enter", { code });
  if (answer.ok) localStorage.setItem(KEY, answer.said.key);
  else notice(why(answer), true);
}

async function follow() {
  for (;;) {
    const stop = new AbortController();
    let alarm;
    // A sign of life comes every 15 seconds; after a sleep, a dead connection says nothing.
    const alive = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => stop.abort(), 40000);
    };
    try {
      alive();
      const headers = last === null ? said() : { ...said(), "last-event-id": last };
      const answer = await fetch("/api/events", { headers, signal: stop.signal });
      if (answer.status === 401) {
        locked(true);
        return;
      }
      if (!answer.ok) throw new Error((await answer.json()).detail);
      locked(false);
      live(true, "Live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new Error();
        alive();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) hear(block);
      }
    } catch (error) {
      const because = error.message && error.name === "Error" ? ` (${error.message})` : "";
      live(false, `Not connected${because}; trying again`);
    }
    clearTimeout(alarm);
    await new Promise((go) => setTimeout(go, 500));
  }
}

function hear(block) {
  const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field("data");
  if (data === undefined) return;
  take(JSON.parse(data));
  last = field("id");
  soon();
}

function take(told) {
  if (told.kind === "whole") {
    sessions = new Map(told.sessions.map((one) => [one.record.id, one]));
    return;
  }
  const session = sessions.get(told.session);
  if (!session) return;
  switch (told.kind) {
    case "gone":
      notice(`Session ${name(session)} is over.`);
      sessions.delete(told.session);
      break;
    case "link":
      session.link = told.link;
      if (told.link.state === "ending") session.pending = [];
      break;
    case "request": {
      const request = told.request;
      session.missed = session.missed.filter((one) => target(one) !== target(request));
      const at = session.pending.findIndex((one) => one.id === request.id);
      if (at >= 0) session.pending[at] = request;
      else {
        session.pending.push(request);
        asked(session, request);
      }
      break;
    }
    case "settled":
      session.pending = session.pending.filter((one) => one.id !== told.settled.id);
      if (told.missed) session.missed.unshift(told.missed);
      break;
    case "rule": {
      const same = (one) => ["entry", "verdict", "origin", "scope"].every((part) => one[part] === told.rule[part]);
      const at = session.rules.findIndex(same);
      if (told.gone) session.rules = session.rules.filter((one) => !same(one));
      else if (at >= 0) session.rules[at] = told.rule;
      else session.rules.push(told.rule);
      break;
    }
    case "log": {
      session.log.push(told.entry);
      if (session.log.length > LOG_MAX) session.log.shift();
      const rule = session.rules.find((one) => one.entry === told.entry.rule && one.verdict === told.entry.verdict);
      if (rule) rule.hits += 1;
      break;
    }
  }
}

// --- Notices of a request

function asked(session, request) {
  say(`${target(request)} is asked for by ${name(session)}. ${many(waiting().length, "request")} waiting.`);
  if (wants("use-sound")) beep();
  if (wants("use-notifications") && document.hidden && Notification.permission === "granted") {
    const shown = new Notification(target(request), { body: `${name(session)} asks for it`, tag: request.id });
    shown.onclick = () => {
      window.focus();
      show("requests");
      card(request.id)?.focus();
    };
  }
}

function beep() {
  const sound = new AudioContext();
  const tone = sound.createOscillator();
  const volume = sound.createGain();
  volume.gain.value = 0.08;
  tone.frequency.value = 660;
  tone.connect(volume).connect(sound.destination);
  tone.start();
  tone.stop(sound.currentTime + 0.15);
  tone.onended = () => sound.close();
}

const wants = (id) => $(id).checked;

// --- Drawing

let drawing = false;
function soon() {
  text($("count"), String(waiting().length));
  $("count").hidden = waiting().length === 0;
  document.title = waiting().length ? `(${waiting().length}) vibepit` : "vibepit";
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    draw();
  }, 10);
}

const chosen = () => [...sessions.values()].filter((one) => !current || one.record.id === current);
const of = (part) => chosen().flatMap((session) => session[part].map((one) => ({ session, one })));
const waiting = () => [...sessions.values()].flatMap((session) => session.pending);
const card = (id) => document.querySelector(`.card[data-key="${CSS.escape(id)}"]`);

function draw() {
  if (current && !sessions.has(current)) current = null;
  list($("session"), [null, ...sessions.values()], (one) => one?.record.id ?? "",
    (one) => h("option", { value: one?.record.id ?? "" }),
    (e, one) => text(e, one ? name(one) : "All sessions"));
  $("session").value = current ?? "";
  ({ requests, sessions: drawSessions, rules, log, audit })[view]();
}

function requests() {
  const by = (when) => (a, b) => a.one[when].localeCompare(b.one[when]);
  const held = of("pending").sort(by("requested_at"));
  // What comes stands behind what is there, whichever session it is of.
  for (const { one } of held) order.set(one.id, order.get(one.id) ?? ++placed);
  held.sort((a, b) => order.get(a.one.id) - order.get(b.one.id));
  const missed = of("missed").sort(by("last")).reverse().slice(0, 50);
  const focused = document.activeElement?.closest(".card");
  const place = focused ? cards().indexOf(focused) : -1;
  const key = ({ one }) => one.id;
  list($("waiting"), held, key, makeCard, updateCard);
  list($("missed"), missed, key, makeCard, updateCard);
  $("none-waits").hidden = held.length > 0;
  $("missed-part").hidden = missed.length === 0;
  settle();
  if (place >= 0 && !focused.isConnected) {
    const all = cards();
    const next = all[Math.min(place, all.length - 1)];
    if (next) rest(next);
    (next ?? $("waiting-title")).focus();
  }
}

const cards = () => [...document.querySelectorAll("#waiting > .card, #missed > .card")];

// What has come, or has moved, is not to be pressed at once.
function settle() {
  for (const e of cards()) {
    const top = e.offsetTop;
    if (e.top !== top) rest(e);
    e.top = top;
  }
}

function rest(e) {
  clearTimeout(fresh.get(e));
  e.classList.add("fresh");
  fresh.set(e, setTimeout(() => {
    fresh.delete(e);
    e.classList.remove("fresh");
  }, SETTLING));
}

function makeCard({ session, one }) {
  const e = h("li", { className: "card", tabIndex: -1 });
  const id = `r-${one.id}`;
  const button = (label, key, what, className = "") => {
    const made = h("button", { type: "button", className, "aria-describedby": id, "aria-keyshortcuts": key, onclick: what },
      h("span", {}, label), h("kbd", { className: "hint", "aria-hidden": "true" }, key));
    made.dataset.key = key;
    return made;
  };
  const parts = {
    time: h("span", { className: "time" }), bar: h("i"), meta: h("p", { className: "meta" }),
    like: h("p", { className: "warn", hidden: true }), unicode: h("p", { className: "warn", hidden: true }),
    sure: h("div", { className: "sure", role: "group", "aria-label": "Confirm the wildcard", hidden: true }),
    preview: h("div", { className: "preview", "aria-live": "polite", hidden: true }),
    host: h("input", { type: "radio", name: `w-${id}`, checked: true, onchange: () => options(e) }),
    wide: h("input", { type: "radio", name: `w-${id}`, onchange: () => options(e) }),
    pattern: h("input", { value: one.suggested_pattern ?? "", "aria-label": "Wildcard", autocomplete: "off", spellcheck: false, oninput: () => { parts.wide.checked = true; options(e); } }),
    ttl: h("select", { onchange: () => options(e) }, ...[["", "until the session ends"], ["10m", "10 minutes"], ["1h", "1 hour"]].map(([value, label]) => h("option", { value }, label))),
    reason: h("input", { maxLength: 200, autocomplete: "off" }),
    denial: h("select", {}, ...["once", "session", "project", "global"].map((scope) => h("option", { value: scope }, HOLDS[scope]))),
    a: button("Allow (session)", "a", () => decide(e, "allow", "session"), "main"),
    o: button("Once", "o", () => decide(e, "allow", "once")),
    p: button("Save to project", "p", () => decide(e, "allow", "project")),
    g: button("Save to global", "g", () => decide(e, "allow", "global")),
    d: button("Deny", "d", () => decide(e, "deny", parts.denial.value), "no"),
  };
  e.parts = parts;
  e.session = session.record.id;
  e.append(
    h("div", { className: "top" },
      h("h3", { className: "host", id, title: one.domain }, one.lead, h("strong", {}, one.owned), `:${one.port}${one.service ? ` (${one.service})` : ""}`), parts.time),
    one.expires_at ? h("div", { className: "bar" }, parts.bar) : "",
    parts.meta, parts.like, parts.unicode,
    h("div", { className: "buttons" }, parts.a, parts.o, parts.p, parts.g, parts.d), parts.sure,
    h("details", {}, h("summary", { "aria-describedby": id }, "Wildcard, time limit, reason"),
      h("div", { className: "options" },
        h("fieldset", { hidden: !one.suggested_pattern }, h("legend", {}, "Covers"),
          h("label", {}, parts.host, `${target(one)} alone`),
          h("label", {}, parts.wide, "wildcard"), parts.pattern, parts.preview),
        h("div", {}, h("label", {}, "Allow (session) holds", parts.ttl), h("label", {}, "A denial holds", parts.denial),
          h("label", {}, "Reason of a denial, for the sandbox", parts.reason)))),
  );
  return e;
}

function updateCard(e, { session, one }) {
  const { parts } = e;
  e.one = one;
  const doors = one.doors ? `${one.doors.join(", ")} · ${one.waiting ? `${one.waiting} waiting` : "gave up, may try again"} · ` : "";
  text(parts.meta, `${name(session)} · ${doors}asked ${many(one.attempts, "time")}`);
  parts.like.hidden = !one.like;
  text(parts.like, one.like ? `Looks like ${one.like}, which is allowed, and is not it.` : "");
  parts.unicode.hidden = !one.unicode;
  text(parts.unicode, one.unicode ? `Written in other letters: ${one.unicode}` : "");
  options(e);
  tick(e);
}

// What the choices below the buttons mean for these.
function options(e) {
  const { parts, one } = e;
  const wide = parts.wide.checked;
  const limited = parts.ttl.value !== "";
  const project = sessions.get(e.session)?.record.project_dir;
  parts.o.disabled = wide || limited;
  parts.p.disabled = limited || !project;
  parts.g.disabled = limited;
  parts.p.title = project ? "" : "This session has no project";
  text(parts.a.firstChild, limited ? `Allow (${parts.ttl.selectedOptions[0].textContent})` : "Allow (session)");
  parts.preview.hidden = !wide;
  const asked = wide ? `${parts.pattern.value} ${waiting().length}` : "";
  if (wide && e.previewed !== asked) preview(e, one);
  e.previewed = asked;
}

async function preview(e, one) {
  const pattern = e.parts.pattern.value.trim();
  const answer = await call("/api/preview", { session: e.session, request: one.id, pattern });
  if (pattern !== e.parts.pattern.value.trim()) return;
  const { entry, covers, waiting, seen } = answer.said;
  const part = (title, all) => all.length ? [title, h("ul", {}, ...all.map((each) => h("li", {}, each)))] : [];
  e.parts.preview.replaceChildren(...(!answer.ok ? [answer.said.detail]
    : !covers ? [`${entry} does not cover ${target(one)}.`]
    : [h("p", {}, `Rule: ${entry}`), ...part(`Covers ${many(waiting.length, "waiting request")}:`, waiting), ...part("And, asked for before:", seen)]));
}

function tick(e) {
  const { one, parts } = e;
  if (!one.expires_at) {
    text(parts.time, `${one.reason.replaceAll("_", " ")} ${clock(one.last)}`);
    return;
  }
  const left = Math.max(0, Date.parse(one.expires_at) - Date.now());
  const whole = Date.parse(one.expires_at) - Date.parse(one.requested_at);
  text(parts.time, left > 99000 ? `${Math.ceil(left / 60000)} min left` : `${Math.ceil(left / 1000)} s left`);
  parts.time.classList.toggle("soon", left < 10000);
  parts.bar.style.setProperty("--left", `${Math.min(100, (100 * left) / whole)}%`);
}

// --- Deciding

async function decide(e, verdict, scope, confirmed = false) {
  const { parts, one } = e;
  if (e.classList.contains("fresh")) {
    say("It has just moved: press again.");
    return;
  }
  if (e.busy) return;
  const decision = { scope };
  if (parts.wide.checked) decision.pattern = parts.pattern.value.trim();
  if (scope === "session" && verdict === "allow" && parts.ttl.value) decision.ttl = parts.ttl.value;
  if (verdict === "deny" && parts.reason.value.trim()) decision.reason = parts.reason.value.trim();
  if (confirmed) decision.confirm_wildcard = true;
  e.busy = true;
  const answer = await call("/api/decide", { session: e.session, request: one.id, missed: !one.expires_at, verdict, decision });
  e.busy = false;
  parts.sure.hidden = true;
  if (answer.said.title === "confirmation needed") sure(e, verdict, scope, answer.said.detail);
  else if (!answer.ok) notice(`${target(one)}: ${why(answer)}`, true);
  else {
    const session = sessions.get(e.session);
    if (session) session.missed = session.missed.filter((each) => each.id !== one.id);
    soon();
    told(answer.said, decision.ttl);
  }
}

function sure(e, verdict, scope, detail) {
  const yes = h("button", { type: "button", className: "main", onclick: () => decide(e, verdict, scope, true) }, "Save the wildcard");
  const no = h("button", { type: "button", onclick: () => { e.parts.sure.hidden = true; e.focus(); } }, "Cancel");
  e.parts.sure.replaceChildren(h("p", {}, detail.replace(/\. Say .*$/, ".")), h("div", { className: "buttons" }, yes, no));
  e.parts.sure.hidden = false;
  no.focus();
}

function told(done, ttl) {
  const what = done.entry ?? target(done);
  const verb = done.verdict === "allow" ? "Allowed" : "Denied";
  const holds = ttl ? `for ${ttl}` : HOLDS[done.scope];
  const goes = done.released ? ` ${done.verdict === "allow" ? "Goes on" : "Refused"}: ${many(done.released, "connection")}.` : "";
  const saved = done.saved_to ? ` Saved to ${done.saved_to}.` : "";
  if (done.save_error) notice(`${verb} ${what} for this session only. It could not be saved: ${done.save_error}`, true);
  else notice(`${verb} ${what} ${holds}.${goes}${saved}`);
  if (done.shadowed_by) notice(`It does not take effect: “deny ${done.shadowed_by}” outranks it; revoke that.`, true);
}

// --- The other views

function drawSessions() {
  $("no-session").hidden = sessions.size > 0;
  list($("session-list"), [...sessions.values()], (one) => one.record.id, () => h("li"), (e, one) => {
    const { record, link, session } = one;
    const states = { open: "live", opening: "connecting", lost: `does not answer: ${link.why}`, ending: `ends: ${link.why}` };
    e.replaceChildren(
      h("strong", {}, record.name), h("span", {}, states[link.state]), h("code", {}, record.id),
      h("span", {}, `${many(one.pending.length, "request")} waiting`),
      h("span", { className: "rest" }, `${record.runtime === "none" ? "no sandbox" : record.runtime} · ${record.project_dir ?? "no project"} · since `, stamp(record.created, true),
        session ? ` · ${many(one.rules.length + one.more_rules, "rule")} · ${session.mode === "reject" ? "refuses what no rule covers" : "asks"} · vibepit ${session.version}` : ""),
      ...(session?.warnings ?? []).map((warning) => h("p", { className: "warn" }, warning)));
  });
}

const found = (id, ...parts) => {
  const wanted = $(id).value.trim().toLowerCase();
  return !wanted || parts.join(" ").toLowerCase().includes(wanted);
};

function rules() {
  const shown = of("rules").filter(({ session, one }) => found("find-rules", one.entry, one.verdict, one.origin, one.scope, name(session)));
  const key = ({ session, one }) => [session.record.id, one.verdict, one.entry, one.origin, one.scope].join(" ");
  list($("rule-list"), shown.slice(0, ROWS_MAX), key, ({ session, one }) => {
    const about = h("span", { className: "rest" });
    const fixed = ["config", "flag", "preset", "repository"].includes(one.origin);
    const revoke = fixed ? null : h("button", { type: "button", "aria-label": `Revoke ${one.verdict} ${one.entry}`, onclick: () => take_back(session, one) }, "Revoke");
    const e = h("li", {}, h("span", { className: one.verdict }, one.verdict), h("span", { className: "entry" }, one.entry), about, ...(revoke ? [revoke] : []));
    e.about = about;
    return e;
  }, (e, { session, one }) => {
    const until = one.expires_at ? `until ${moment(one.expires_at)}` : HOLDS[one.scope];
    text(e.about, `from ${one.origin} · ${until} · ${many(one.hits, "hit")} · ${name(session)}`);
  });
  const more = chosen().reduce((sum, one) => sum + one.more_rules, 0) + Math.max(0, shown.length - ROWS_MAX);
  $("more-rules").hidden = more === 0;
  text($("more-rules"), `And ${more} more; vibepit rules lists them all.`);
}

async function take_back(session, rule) {
  const answer = await call("/api/revoke", { session: session.record.id, rules: { entries: [rule.entry] } });
  if (!answer.ok) return notice(why(answer), true);
  const { removed, closed, save_error } = answer.said;
  if (save_error) notice(`Revoked ${rule.entry} here, but what was saved stays: ${save_error}`, true);
  else if (removed.length) notice(`Revoked ${rule.entry}. ${many(closed, "connection")} closed.`);
  else notice(`${rule.entry} stays: a file holds it.`, true);
}

async function add(event) {
  event.preventDefault();
  const [scope, ttl] = $("add-scope").value.split(" ");
  const session = chosen().length === 1 ? chosen()[0] : null;
  if (!session) return notice("Choose a session first, above.", true);
  const verdict = $("add-verdict").value;
  const answer = await call(`/api/${verdict}`, { session: session.record.id, rules: { entries: [$("add-entry").value.trim()], scope, ...(ttl && { ttl }) } });
  if (!answer.ok) return notice(why(answer), true);
  const done = answer.said;
  $("add-entry").value = "";
  told({ ...done, verdict, entry: [...done.added, ...done.existing].join(", "), shadowed_by: done.shadowed?.[0]?.by.entry }, ttl);
  for (const warning of done.warnings ?? []) notice(warning, true);
}

function log() {
  const shown = of("log").filter(({ session, one }) => found("find-log", target(one), one.verdict, one.reason, one.rule, name(session)));
  shown.sort((a, b) => b.one.time.localeCompare(a.one.time) || b.one.id - a.one.id);
  list($("log-list"), shown.slice(0, ROWS_MAX), ({ session, one }) => `${session.record.id} ${one.id}`, ({ session, one }) => h("li", {},
    stamp(one.time), h("span", { className: one.verdict }, one.verdict), h("span", { className: "entry" }, target(one)),
    h("span", { className: "rest" }, [one.reason.replaceAll("_", " "), one.rule && `rule ${one.rule}`, one.door, name(session), one.detail].filter(Boolean).join(" · "))));
}

async function audit() {
  const session = chosen().length === 1 ? chosen()[0] : null;
  text($("audit-note"), session ? `The newest lines of ${name(session)} when this view was opened.` : "Choose a session above.");
  const id = session?.record.id ?? null;
  if (id === auditOf) return;
  auditOf = id;
  const answer = id ? await call(`/api/audit?session=${id}`) : { ok: true, said: [] };
  if (id !== auditOf) return;
  if (!answer.ok) notice(why(answer), true);
  const lines = answer.ok ? answer.said.reverse() : [];
  const hidden = ["time", "event", "session", "project", "domain", "port"];
  $("audit-list").replaceChildren(...lines.map((line) => h("li", {}, stamp(line.time), h("strong", {}, line.event),
    h("span", { className: "entry" }, line.domain ? target({ port: null, ...line }) : ""),
    h("span", { className: "rest" }, Object.entries(line).filter(([key, value]) => !hidden.includes(key) && value !== null).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`).join("  ")))));
}

function show(id) {
  view = id;
  for (const each of VIEWS) {
    const tab = $(`tab-${each}`);
    tab.setAttribute("aria-selected", String(each === id));
    tab.tabIndex = each === id ? 0 : -1;
    $(each).hidden = each !== id;
  }
  auditOf = null;
  draw();
}

// --- Keys

function keys(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const at = event.target;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step && at.getAttribute("role") === "tab") {
    const next = VIEWS[(VIEWS.indexOf(view) + step + VIEWS.length) % VIEWS.length];
    show(next);
    $(`tab-${next}`).focus();
    return event.preventDefault();
  }
  const types = at.matches("select, textarea, input:not([type=radio], [type=checkbox])");
  if (types && event.key === "Escape") at.closest(".card")?.focus();
  if (types || $("help").open || event.repeat || !wants("use-keys") || !$("locked").hidden) return;
  if (VIEWS[event.key - 1]) show(VIEWS[event.key - 1]);
  else if (event.key === "?") $("help").showModal();
  else if (view === "requests" && "jkaopgdwtr".includes(event.key)) inCard(event.key, at.closest(".card"));
  else return;
  event.preventDefault();
}

function inCard(key, e) {
  const all = cards();
  if (key === "j" || key === "k") {
    const to = e ? all.indexOf(e) + (key === "j" ? 1 : -1) : 0;
    return all[Math.max(0, Math.min(all.length - 1, to))]?.focus();
  }
  if (!e) return say("Choose a request first, with j and k.");
  const { parts } = e;
  const open = () => (e.querySelector("details").open = true);
  if (key === "w" && parts.pattern.value) {
    open();
    (parts.wide.checked ? parts.host : parts.wide).checked = true;
    options(e);
    say(parts.wide.checked ? `Covers ${parts.pattern.value}` : "Covers this host alone");
  } else if (key === "t") {
    open();
    parts.ttl.selectedIndex = (parts.ttl.selectedIndex + 1) % parts.ttl.options.length;
    options(e);
    say(parts.ttl.selectedOptions[0].textContent);
  } else if (key === "r") {
    open();
    parts.reason.focus();
  } else parts[key]?.click();
}

// --- Begin

function setting(id, byDefault) {
  $(id).checked = (localStorage.getItem(id) ?? byDefault) === "on";
  $(id).addEventListener("change", async () => {
    if (id === "use-notifications" && wants(id) && (await Notification.requestPermission()) !== "granted") {
      $(id).checked = false;
      notice("The browser's settings forbid notifications.", true);
    }
    if (id === "use-sound" && wants(id)) beep();
    localStorage.setItem(id, wants(id) ? "on" : "off");
  });
}

setting("use-keys", "on");
setting("use-notifications", "off");
setting("use-sound", "off");
for (const id of VIEWS) $(`tab-${id}`).addEventListener("click", () => show(id));
$("session").addEventListener("change", () => {
  current = $("session").value || null;
  draw();
});
$("add").addEventListener("submit", add);
$("find-rules").addEventListener("input", draw);
$("find-log").addEventListener("input", draw);
$("open-help").addEventListener("click", () => $("help").showModal());
document.addEventListener("keydown", keys);
addEventListener("hashchange", async () => {
  const wasOut = !$("locked").hidden;
  await enter();
  if (wasOut) follow();
});
setInterval(() => cards().forEach(tick), 1000);
show("requests");
await enter();
follow();
