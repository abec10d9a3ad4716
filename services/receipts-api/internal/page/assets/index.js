// The page /: connects Gmail, syncs, and lists the receipts. It keeps nothing:
// whatever it shows it read from the API, so that a reload finds the running job.

const element = (id) => document.getElementById(id);
const language = document.documentElement.lang;
const words = await (await fetch(document.body.dataset.words)).json();

// Words

const plural = new Intl.PluralRules(language);
const number = new Intl.NumberFormat(language);
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const calendarDay = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });

const isolate = (text) => `\u2068${text}\u2069`;

// say answers the words of a key. A value of text keeps its own direction inside
// the sentence (isolates); n chooses the plural.
function say(key, values = {}) {
  const entry = words[key];
  const text = typeof entry === "string" ? entry : entry[plural.select(values.n)] ?? entry.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number.format(value) : isolate(value);
  });
}

const sentences = (...parts) => parts.filter(Boolean).join(" ");

// foreign is a sentence of the server's own, which is English.
const foreign = (text) => (text && document.dir === "rtl" ? isolate(text) : text);

// The API

// call answers {status, body, wait}: status 0 where no server answered, wait
// the seconds of Retry-After.
async function call(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000), // a sync may be held for a worker that restarts
    });
    const text = await answer.text();
    if (answer.status === 401) showSignedOut();
    return { status: answer.status, body: text ? JSON.parse(text) : {}, wait: Number(answer.headers.get("Retry-After")) || 0 };
  } catch {
    return { status: 0, body: { error: say("unreachable"), action: say("unreachable_action") }, wait: 0 };
  }
}

// problem answers what an error body says: the server's own words, which are
// English, or those of the page's language for the code.
function problem(body) {
  const details = body.technical_details ?? "";
  const [, queue] = details.match(/^No active workers found listening to '(\w+)' queue$/) ?? [];
  const key = `problem.${queue ? "no_worker" : details.split(";")[0]}`;
  if (key in words) return { error: say(key), action: say(`${key}_action`, { queue }) };
  return { error: body.error ? foreign(body.error) : say("unreachable"), action: foreign(body.action) };
}

// Who is here

function showSignedOut() {
  element("signed-in").hidden = true;
  element("signed-out").hidden = false;
  element("sign-out").hidden = element("who").hidden = true;
}

let owner = false;
let mailbox = ""; // its address, where one is connected

function showSession(session) {
  element("signed-in").hidden = false;
  element("sign-out").hidden = element("who").hidden = false;
  element("business").textContent = session.business_id;
  owner = session.role === "owner" || session.role === "system_admin";
}

function showNews() {
  const query = new URLSearchParams(location.search);
  const code = query.get("error");
  if (!code && !query.has("connected")) return;
  history.replaceState(null, "", location.pathname);
  const news = element("news");
  const key = code ? `news.${code}` : "news.connected";
  const text = document.createElement("p");
  text.textContent = say(key in words ? key : "news.unknown");
  news.append(text);
  news.className = "notice";
  news.dataset.tone = code ? "warn" : "good";
  if (code === "other_mailbox" && owner) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = say("gmail.new_mailbox");
    button.addEventListener("click", () => connect(button, "?confirm=new_mailbox"));
    news.append(button);
  }
}

// Gmail

async function connect(button, query) {
  if (busy(button)) return;
  setBusy(button, true);
  element("gmail-state").textContent = say("gmail.connecting");
  const { status, body } = await call("GET", `/api/gmail/oauth/start${query}`);
  if (status === 200) {
    location.assign(body.auth_url);
    return;
  }
  setBusy(button, false);
  const { error, action } = problem(body);
  paint("gmail", { tone: "bad", state: error, detail: action });
}

async function readConnection() {
  const { status, body } = await call("GET", "/api/gmail/oauth/status");
  const button = element("connect");
  if (status !== 200) {
    const { error, action } = problem(body);
    paint("gmail", { tone: "bad", state: error, detail: action });
    return;
  }
  const email = body.email ?? "";
  mailbox = email;
  const views = {
    connected: {
      tone: "good", state: say("gmail.connected"),
      detail: sentences(say("gmail.connected_to", { email }), body.last_sync_at && say("gmail.last_sync", { time: moment.format(new Date(body.last_sync_at)) })),
    },
    reconnect: { tone: "warn", state: say("gmail.lost"), detail: say("gmail.lost_text"), button: say("gmail.reconnect") },
    not_connected: { tone: "idle", state: say("gmail.not_connected"), detail: say("gmail.not_connected_text"), button: say("gmail.connect") },
  };
  const view = views[body.status];
  if (view.button && !owner) view.detail = sentences(view.detail, say("gmail.owner_only"));
  paint("gmail", view);
  button.hidden = !view.button || !owner;
  button.textContent = view.button ?? "";
}

// Sync

const pollEvery = 1000;
const pollAtMost = 10_000;
const firstEventWithin = 5000;
const tellReceiptsEvery = 3000;
let following = 0; // the newest follow; older ones end
let followed = ""; // the id of its job
let unlisten = () => {}; // ends the stream of its events
let savedShown = 0;
let savedShownAt = 0;

// jobView answers a job's state in words: {tone, state, detail, action, percent, busy, cancel}.
// percent is undefined for no bar, null for a bar of unknown length; cancel is
// undefined where there is nothing to cancel, false where that was asked already.
function jobView(job) {
  const views = { queued: queuedView, started: startedView, scheduled: scheduledView, finished: finishedView, failed: failedView, canceled: canceledView };
  const view = views[job.status](job, job.progress ?? {});
  return ended(job) ? view : { ...view, cancel: !job.canceling };
}

const ended = (job) => ["finished", "failed", "canceled"].includes(job.status);

function queuedView(job) {
  return { tone: "busy", state: say("sync.queued"), detail: say(job.progress ? "sync.resuming_text" : "sync.queued_text"), percent: job.progress?.percent ?? null, busy: true };
}

function waitingView(until, quota, percent) {
  return { tone: "busy", state: say(quota ? "sync.quota" : "sync.waiting", { time: clock.format(new Date(until)) }), detail: quota ? say("sync.quota_text") : "", percent, busy: true };
}

function startedView(job, progress) {
  const percent = progress.percent ?? null;
  if (job.canceling) return { tone: "busy", state: say("sync.canceling"), detail: say("sync.canceling_text"), percent, busy: true };
  if (progress.waiting_until && new Date(progress.waiting_until) > new Date()) {
    return waitingView(progress.waiting_until, progress.waiting_reason !== null, percent);
  }
  return { tone: "busy", state: say("sync.syncing"), detail: sentences(phaseText(progress), progress.saved > 0 && say("sync.so_far", { n: progress.saved })), percent, busy: true };
}

function phaseText(progress) {
  switch (progress.phase) {
    case "history":
      return say("sync.history");
    case "reading":
      return say("sync.reading", { done: progress.scanned, total: progress.scanned + progress.pending });
    case "listing":
      return progress.windows_total > 0 ? say("sync.listing_of", { done: progress.windows_done, total: progress.windows_total }) : say("sync.listing");
    default:
      return "";
  }
}

function scheduledView(job, progress) {
  const until = job.run_at ?? progress.waiting_until;
  if (!job.error) return waitingView(until, Boolean(progress.waiting_reason), progress.percent ?? null);
  return { tone: "warn", state: say("sync.retrying", { time: clock.format(new Date(until)) }), detail: foreign(job.error.message), percent: progress.percent ?? null, busy: true };
}

function finishedView(job) {
  const result = job.result ?? {};
  const saved = result.saved ?? 0;
  const notes = sentences(
    result.updated > 0 && say("sync.updated", { n: result.updated }),
    say("sync.scanned", { n: result.scanned ?? 0 }),
    result.stopped_early && say("sync.stopped_early"),
    result.history_expired && say("sync.history_expired"),
    endedText(job),
  );
  if (result.errors > 0) {
    return { tone: "warn", state: say("sync.done_failures", { n: result.errors }), detail: sentences(say("sync.saved", { n: saved }), notes) };
  }
  return { tone: "good", state: saved > 0 ? say("sync.done", { n: saved }) : say("sync.done_nothing"), detail: notes };
}

function failedView(job) {
  return { tone: "bad", state: say("sync.failed"), detail: [foreign(job.error?.message), endedText(job)].filter(Boolean).join(" · "), action: foreign(job.error?.action) };
}

function canceledView(job) {
  return { tone: "idle", state: say("sync.canceled"), detail: sentences(say("sync.canceled_text"), endedText(job)) };
}

const endedText = (job) => (job.finished_at ? say("sync.ended", { time: moment.format(new Date(job.finished_at)) }) : "");

// paint shows a view. The state is announced to who cannot see it, so it is
// only written where it changed.
function paint(name, view) {
  const state = element(`${name}-state`);
  if (state.textContent !== view.state) state.textContent = view.state;
  state.dataset.tone = view.tone;
  element(`${name}-detail`).textContent = view.detail ?? "";
  if (name !== "sync") return;
  element("sync-action").textContent = view.action ?? "";
  const bar = element("sync-bar");
  bar.hidden = view.percent === undefined;
  if (view.percent == null) bar.removeAttribute("value");
  else bar.value = view.percent;
  setStartable(!view.busy);
  paintCancel(view.cancel);
}

// paintCancel shows the button while there is something to cancel. One that had
// the focus hands it on when it goes.
function paintCancel(can) {
  const button = element("cancel");
  if (can === undefined && document.activeElement === button) element("sync").focus();
  button.hidden = can === undefined;
  setBusy(button, can === false);
}

// A button that may not be pressed now keeps the focus, which disabled would take.
const busy = (button) => button.getAttribute("aria-disabled") === "true";
const setBusy = (button, is) => (is ? button.setAttribute("aria-disabled", "true") : button.removeAttribute("aria-disabled"));

// setStartable tells whether a sync may be asked for.
function setStartable(is) {
  setBusy(element("sync"), !is);
  setBusy(element("retry"), !is);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const jobPath = (id) => `/api/receipts/sync/${encodeURIComponent(id)}`;

// follow shows a job until it ends, by its events, or, where those do not come
// through, by asking again and again.
async function follow(id) {
  const mine = unfollow();
  followed = id;
  savedShown = 0;
  if (!(await listen(id))) await poll(id, mine);
}

// unfollow ends the follow before, and answers the number of the next.
function unfollow() {
  unlisten();
  followed = "";
  return ++following;
}

// listen shows a job by its events. It answers false where they do not come
// through: the server refuses them, or something on the way holds them back.
function listen(id) {
  return new Promise((resolve) => {
    const events = new EventSource(`${jobPath(id)}/events`);
    let saved = 0;
    const telling = setInterval(() => tellReceipts(saved), tellReceiptsEvery); // also of an event that came too soon
    const end = (shown) => {
      clearTimeout(patience);
      clearInterval(telling);
      events.close();
      resolve(shown);
    };
    const patience = setTimeout(() => end(false), firstEventWithin);
    unlisten = () => end(true);
    events.addEventListener("job", (event) => {
      clearTimeout(patience);
      const job = JSON.parse(event.data);
      saved = job.progress?.saved ?? 0;
      if (ended(job)) end(true); // before the server does: the browser would open it again
      showJob(job);
    });
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) end(false);
      else paint("sync", { tone: "warn", state: say("sync.lost_touch"), busy: true }); // the browser tries again by itself
    });
  });
}

async function showJob(job) {
  paint("sync", jobView(job));
  showFailures(job);
  if (ended(job)) await Promise.all([readReceipts(), readConnection()]);
  else await tellReceipts(job.progress?.saved ?? 0);
}

// poll shows a job by asking for it.
async function poll(id, mine) {
  let wait = pollEvery;
  while (mine === following) {
    const { status, body } = await call("GET", jobPath(id));
    if (mine !== following || status === 401) return;
    if (status === 200) {
      wait = pollEvery;
      await showJob(body.job);
      if (ended(body.job)) return;
    } else if (status === 404) {
      await readLatest();
      return;
    } else {
      wait = Math.min(2 * wait, pollAtMost);
      paint("sync", { tone: "warn", state: say("sync.lost_touch"), busy: true });
    }
    await pause(document.hidden ? pollAtMost : wait);
  }
}

// tellReceipts shows what a running sync has found, while nobody has paged on.
async function tellReceipts(saved) {
  if (saved === savedShown || pages > 1 || busy(element("more")) || Date.now() - savedShownAt < tellReceiptsEvery) return;
  savedShown = saved;
  savedShownAt = Date.now();
  await readReceipts();
}

async function readLatest() {
  const { status, body } = await call("GET", "/api/receipts/sync/latest");
  if (status === 404) {
    paint("sync", { tone: "idle", state: say("sync.idle"), detail: say("sync.idle_text") });
  } else if (status !== 200) {
    const { error, action } = problem(body);
    paint("sync", { tone: "bad", state: say("sync.unavailable"), detail: error, action });
  } else {
    paint("sync", jobView(body.job));
    showFailures(body.job);
    if (!ended(body.job)) await follow(body.job.job_id);
  }
}

// cancel asks the followed job to stop. What comes of it the follow shows; only
// a refusal is shown here.
async function cancel() {
  const button = element("cancel");
  const id = followed;
  if (busy(button) || !id) return;
  setBusy(button, true);
  const { status, body } = await call("POST", `${jobPath(id)}/cancel`);
  if (id !== followed || status === 200 || status === 409) return; // 409: it has ended
  setBusy(button, false);
  const { error, action } = problem(body);
  element("sync-action").textContent = sentences(error, action);
}

const sync = () => start("/api/receipts/sync", { mode: document.querySelector("input[name=mode]:checked").value });

// start asks for a sync, and follows it, or the one that is in the way.
async function start(path, asked) {
  if (busy(element("sync"))) return;
  unfollow();
  paint("sync", { tone: "busy", state: say("sync.starting"), percent: null, busy: true });
  const { status, body, wait } = await call("POST", path, asked);
  if (body.retried !== undefined) hideFailures();
  if (body.job_id) {
    await follow(body.job_id);
    return;
  }
  const { error, action } = problem(body);
  const detail = sentences(error, body.retried > 0 && say("failures.noted"));
  paint("sync", { tone: status === 409 ? "warn" : "bad", state: say(status === 503 || status === 0 ? "sync.unavailable" : "sync.refused"), detail, action, busy: wait > 0 });
  if (status === 409) await readConnection();
  await countDown(wait);
}

// countDown lets a sync be asked for again after so many seconds.
async function countDown(seconds) {
  const button = element("sync");
  for (let left = seconds; left > 0; left--) {
    button.textContent = say("sync.button_wait", { seconds: left });
    await pause(1000);
  }
  button.textContent = say("sync.button");
  setStartable(true);
}

// What a sync could not read

const gmail = "https://mail.google.com/mail/";
let failedJob = ""; // whose failures are shown
let nextFailure = null;

// showFailures lists what the job that is shown could not read, once it has ended.
async function showFailures(job) {
  if (!ended(job) || !(job.result ?? job.progress)?.errors) {
    hideFailures();
    return;
  }
  if (failedJob === job.job_id) return;
  failedJob = job.job_id;
  element("failure-rows").replaceChildren();
  await readFailures();
}

function hideFailures() {
  const list = element("failures");
  if (list.contains(document.activeElement)) element("sync").focus();
  list.hidden = true;
  failedJob = "";
}

async function readFailures(cursor) {
  const id = failedJob;
  const { status, body } = await call("GET", `${jobPath(id)}/errors?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  if (id !== failedJob) return;
  if (status !== 200) {
    failedJob = ""; // asked again with the next look at the job
    return;
  }
  element("failure-rows").append(...body.items.map(failureRow));
  nextFailure = body.next_cursor;
  element("failures-more").hidden = !nextFailure;
  element("failures").hidden = body.items.length === 0 && !cursor;
}

function failureRow(failure) {
  const key = `failure.${failure.code}`;
  const link = document.createElement("a");
  link.href = `${gmail}${mailbox && `?authuser=${encodeURIComponent(mailbox)}`}#all/${encodeURIComponent(failure.gmail_message_id)}`;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.textContent = say("failures.open");
  const item = document.createElement("li");
  item.append(key in words ? sentences(say(key), say(`${key}_action`)) : sentences(foreign(failure.message), foreign(failure.action)), " ", link);
  return item;
}

async function readMoreFailures() {
  const button = element("failures-more");
  if (busy(button)) return;
  setBusy(button, true);
  await readFailures(nextFailure);
  setBusy(button, false);
}

// Receipts

let pages = 0;
let nextCursor = null;
let reading = 0; // the newest read of receipts; what older ones bring is old

async function readReceipts(cursor) {
  const mine = ++reading;
  const { status, body } = await call("GET", `/api/receipts?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  if (mine !== reading) return;
  const empty = element("receipts-empty");
  if (status !== 200) {
    if (pages === 0) empty.textContent = say("receipts.unavailable");
    return;
  }
  const rows = body.items.map(row);
  if (cursor) element("rows").append(...rows);
  else element("rows").replaceChildren(...rows);
  pages = cursor ? pages + 1 : 1;
  nextCursor = body.next_cursor;
  const none = !element("rows").hasChildNodes();
  empty.hidden = !none;
  empty.textContent = say("receipts.empty");
  element("receipts").hidden = none;
  element("more").hidden = !nextCursor;
}

async function readMore() {
  const button = element("more");
  if (busy(button)) return;
  setBusy(button, true);
  await readReceipts(nextCursor);
  setBusy(button, false);
}

function row(receipt) {
  const tr = document.createElement("tr");
  tr.setAttribute("role", "row");
  const review = receipt.status === "pending_review" || receipt.needs_review;
  tr.append(
    cell("date", dates(receipt)),
    cell("vendor", isolated(receipt.vendor.name || receipt.vendor.domain || say("unknown"))),
    cell("type", document.createTextNode(say(`type.${receipt.type}`))),
    cell("number", isolated(receipt.number ?? "", "ltr")),
    cell("amount", isolated(amount(receipt), "ltr")),
    cell("status", badge(review && receipt.status !== "rejected" ? "pending_review" : receipt.status)),
  );
  return tr;
}

// dates are the day that the list is sorted by, when the mail came, and the day
// on the receipt itself where that is another.
function dates(receipt) {
  const received = day.format(new Date(receipt.received_at));
  const issued = receipt.issued_on && calendarDay.format(new Date(receipt.issued_on));
  const both = document.createDocumentFragment();
  both.append(isolated(received));
  if (issued && issued !== received) {
    const small = document.createElement("small");
    small.textContent = say("receipts.issued", { date: issued });
    both.append(small);
  }
  return both;
}

function cell(name, content) {
  const td = document.createElement("td");
  td.setAttribute("role", "cell");
  td.className = name;
  td.append(content);
  return td;
}

// isolated is text that came from a mail: its direction stays its own.
function isolated(text, dir) {
  const bdi = document.createElement("bdi");
  if (dir) bdi.dir = dir;
  bdi.textContent = text;
  return bdi;
}

function badge(status) {
  const span = document.createElement("span");
  span.className = "badge";
  span.dataset.status = status;
  span.textContent = say(`status.${status}`);
  return span;
}

// amount formats a decimal string: Intl takes it as it is, so that no digit is
// lost. Its marks of direction go, since the cell has one of its own.
function amount({ total, currency }) {
  if (total === null) return say("unknown");
  const style = /^[A-Z]{3}$/.test(currency ?? "") ? { style: "currency", currency } : { minimumFractionDigits: 2 };
  return new Intl.NumberFormat(language, style).format(total).replace(/[\u200e\u200f\u061c]/g, "");
}

// Beginning

element("language").addEventListener("click", () => {
  document.cookie = `receipts_language=${element("language").dataset.language}; path=/; max-age=31536000; samesite=lax`;
  location.reload();
});
element("sign-out").addEventListener("click", async () => {
  const { status } = await call("DELETE", "/api/session");
  if (status < 400 && status > 0) location.reload();
});
element("connect").addEventListener("click", (event) => connect(event.currentTarget, ""));
element("sync").addEventListener("click", sync);
element("cancel").addEventListener("click", cancel);
element("retry").addEventListener("click", () => start(`${jobPath(failedJob)}/errors/retry`));
element("failures-more").addEventListener("click", readMoreFailures);
element("more").addEventListener("click", readMore);

const session = await call("GET", "/api/session");
if (session.status === 200) {
  showSession(session.body);
  showNews();
  const connection = readConnection(); // failures link to the mailbox
  await Promise.all([connection, readReceipts(), connection.then(readLatest)]);
} else if (session.status !== 401) {
  element("signed-in").hidden = false;
  const { error, action } = problem(session.body);
  paint("gmail", { tone: "bad", state: error, detail: action });
  paint("sync", { tone: "bad", state: say("sync.unavailable"), detail: error, action, busy: true });
  element("receipts-empty").textContent = say("receipts.unavailable");
}
