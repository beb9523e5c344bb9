// The page: signs in, holds the conversation, shows what each turn did.

import { byId, make, milliseconds } from "/dom.js";
import { explainView, sessionsView } from "/look.js";
import { desk, personView, queueView, reviewForm } from "/operate.js";
import { Refused, ask, converse, post } from "/stream.js";
import { describeTurn, waterfall } from "/trace.js";

const log = byId("log");
const field = byId("message");
const empty = byId("empty");
const agents = new Map();
const turns = []; // { turn, reply }: what was answered, oldest first
const sent = [];
const VIEWS = ["turn", "explain", "sessions", "person", "reviews"];
const TITLES = { explain: "What would match", sessions: "Conversations", person: "Person", reviews: "To review" };
let me = null;
let atDesk = () => {};
let shown = -1;
let fresh = false;
let waiting = 0;

async function start() {
  try {
    me = await signIn();
    if (operates()) atDesk = desk(byId("desk"), (text) => bubble("agent", text));
    else for (const name of VIEWS.slice(1)) byId(`view-${name}`).hidden = true;
    const items = (await ask("/v1/agents")).items.filter((one) => one.version); // a draft serves nobody yet
    if (!items.length) return explain("No agent is published.", "Start the server with --agents and a folder.");
    byId("agent").append(...items.map((one) => make("option", { value: one.id }, one.name)));
    for (const control of [byId("agent"), byId("new"), byId("send")]) control.disabled = false;
    await chooseAgent();
  } catch (error) {
    explain(...trouble(error));
  }
}

// What went wrong at the start, and what to do about it.
function trouble(error) {
  if (!(error instanceof Refused)) return ["The server cannot be reached.", "Is ruche serve running? Then load this page again."];
  if (error.wrongCode) return ["The one-time code is wrong.", "Open the link that ruche serve prints, whole as it is; it works once."];
  if (error.usedCode) return ["This link does not work any more.",
    "It works once, for twelve hours, until the server stops. Start ruche serve again and open the link it prints."];
  if (error.status === 401) return ["You are not signed in.", "Open the link that ruche serve prints when it starts."];
  return ["The server refused.", error.message];
}

const operates = () => ["operator", "admin"].some((role) => me?.roles?.includes(role));

// The link holds a one-time code in its fragment, which no server log sees; it is exchanged for a cookie.
async function signIn() {
  const code = location.hash.slice(1);
  if (code) {
    history.replaceState(null, "", location.pathname);
    try { return await post("/v1/console/session", { code }); } catch (error) {
      error.wrongCode = error.status === 400 || error.status === 422; // it was never one of ours
      if (error.status !== 401) throw error;
    }
  }
  try { return await ask("/v1/identity"); } catch (error) {
    error.usedCode = Boolean(code) && error.status === 401;
    throw error;
  }
}

function explain(title, text) {
  empty.querySelector(".empty-title").textContent = title;
  empty.querySelector(".quiet").textContent = text;
}

async function chooseAgent() {
  const id = byId("agent").value;
  field.disabled = true;
  clear();
  if (!agents.has(id)) agents.set(id, await ask(`/v1/agents/${encodeURIComponent(id)}`));
  const { name, description } = agents.get(id).agent;
  explain(name, description || "Say something to the agent.");
  await restore(id);
  field.disabled = false;
  field.focus();
}

// The conversation of this agent goes on where it was, also after a restart of the server.
async function restore(agent) {
  const { items } = await ask(`/v1/sessions?limit=20&interlocutor=${encodeURIComponent(me.subject)}`
    + `&agent=${encodeURIComponent(agent)}`);
  const open = items.find((session) => session.status !== "CLOSED" && session.channel === "web");
  let cursor = "";
  while (open && cursor !== null) {
    const page = await ask(`/v1/sessions/${open.id}/turns?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    for (const { said, turn } of page.items) {
      said.forEach((text) => bubble("user", text));
      finish(bubble("agent", ""), turn);
    }
    cursor = page.next_cursor;
  }
}

function clear() {
  turns.length = 0;
  shown = -1;
  log.replaceChildren(empty);
  empty.classList.remove("hidden");
  byId("trace").replaceChildren(make("p", { class: "quiet" }, "Nothing has been said yet."));
  atDesk(null);
  press("turn");
  steer();
}

function bubble(who, text) {
  empty.classList.add("hidden");
  const body = make("p", { class: "text", dir: "auto" }, text);
  const element = make("article", { class: `bubble ${who}` },
    make("span", { class: "hidden" }, who === "user" ? "You: " : "Agent: "), body);
  element.body = body;
  log.append(element);
  log.scrollTop = log.scrollHeight;
  return element;
}

async function say(text) {
  sent.push(text);
  bubble("user", text);
  const reply = bubble("agent", "");
  reply.classList.add("thinking");
  reply.setAttribute("aria-hidden", "true"); // announced once, when it is whole
  const phases = {};
  const body = { agent_id: byId("agent").value, message: text, channel: "web", new_session: fresh };
  fresh = false;
  busy(1);
  try {
    await converse(body, (kind, data) => happen(kind, data, reply, phases), link);
  } catch (error) {
    fail(reply, error instanceof Refused ? error : new Error("The connection was lost."));
  } finally {
    busy(-1);
  }
}

function happen(kind, data, reply, phases) {
  if (kind === "turn.phase") {
    phases[data.phase] = data.ms;
    byId("typing").textContent = `${data.phase} …`;
    if (shown === turns.length - 1 || shown < 0) preview(phases);
  } else if (kind === "message.segment") {
    reply.classList.remove("thinking");
    reply.body.append(data.text);
    log.scrollTop = log.scrollHeight;
  } else if (kind === "turn.completed") {
    finish(reply, data);
  } else if (kind === "turn.failed") {
    if (data.turn) finish(reply, data.turn);
    fail(reply, new Error(data.turn?.reply || data.error?.message || "The turn failed."));
  }
}

function preview(phases) {
  byId("trace").replaceChildren(waterfall(phases));
}

function finish(reply, turn) {
  reply.classList.remove("thinking");
  if (turns.some((one) => one.turn.turn_id === turn.turn_id)) return reply.remove(); // one reply for several messages
  if (reply.body.textContent !== turn.reply) reply.body.textContent = turn.reply;
  reply.lang = turn.language;
  reply.removeAttribute("aria-hidden");
  const number = turns.push({ turn, reply }) - 1;
  reply.append(chips(turn, number));
  log.scrollTop = log.scrollHeight;
  show(number);
  atDesk(turn.session_id);
}

function chips(turn, number) {
  const risk = turn.enforcement?.risk ?? "UNKNOWN";
  const words = [turn.response_type.toLowerCase(), milliseconds(turn.timings_ms?.total),
    ...(turn.scenarios ?? []).map((move) => `${move.id} › ${move.step}`)].filter(Boolean);
  return make("button", { type: "button", class: "chips", "aria-label": "Show what this turn did",
                          onclick: () => show(number) },
    make("span", { class: `dot risk-${risk.toLowerCase()}`, title: risk }), words.join(" · "));
}

function fail(reply, refused) {
  const error = refused.status === 401
    ? new Error("You are signed out. Open the link that ruche serve prints when it starts.") : refused;
  reply.classList.remove("thinking");
  reply.classList.add("failed");
  reply.removeAttribute("aria-hidden");
  reply.body.textContent = error.message;
  if (error.requestId) reply.append(make("p", { class: "why" }, `${error.code} · request ${error.requestId}`));
}

function show(number) {
  if (!turns[number]) return;
  turns[shown]?.reply.classList.remove("chosen");
  shown = number;
  const { turn, reply } = turns[number];
  reply.classList.add("chosen");
  byId("trace-title").textContent = number === turns.length - 1 ? "Last turn" : `Turn ${number + 1} of ${turns.length}`;
  byId("trace").replaceChildren(...describeTurn(turn, agents.get(byId("agent").value)),
    ...(operates() ? [reviewForm(turn)] : []));
  byId("trace").scrollTop = 0;
  press("turn");
  steer();
}

function press(chosen) {
  byId("steps").hidden = chosen !== "turn";
  byId("trace-title").classList.toggle("hidden", chosen !== "turn"); // the pressed button says it
  for (const name of VIEWS) byId(`view-${name}`).setAttribute("aria-pressed", String(name === chosen));
}

async function view(name) {
  if (byId(`view-${name}`).hidden) return;
  if (name === "turn") {
    if (turns.length) show(Math.max(shown, 0));
    return;
  }
  press(name);
  byId("trace-title").textContent = TITLES[name];
  try {
    const parts = await made(name);
    if (byId(`view-${name}`).getAttribute("aria-pressed") !== "true") return; // another one was asked for meanwhile
    byId("trace").replaceChildren(...parts.filter(Boolean));
    byId("trace").scrollTop = 0;
  } catch (error) {
    byId("trace").replaceChildren(make("p", { class: "bad" }, error.message));
  }
}

function made(name) {
  if (name === "person") return personView(me.subject);
  if (name === "reviews") return queueView();
  if (name === "sessions") return sessionsView(lookAt);
  return explainView({ id: byId("agent").value });
}

// A turn of any conversation, in the place of the list that it was found in.
async function lookAt(turn, agentId) {
  if (!agents.has(agentId)) {
    try { agents.set(agentId, await ask(`/v1/agents/${encodeURIComponent(agentId)}`)); } catch { agents.set(agentId, null); }
  }
  byId("trace").replaceChildren(make("button", { type: "button", onclick: () => view("sessions") }, "← Conversations"),
    ...describeTurn(turn, agents.get(agentId)), reviewForm(turn));
  byId("trace").scrollTop = 0;
  if (agents.get(agentId) === null) agents.delete(agentId);
}

function steer() {
  byId("older").disabled = shown <= 0;
  byId("newer").disabled = shown >= turns.length - 1;
}

function link(state) {
  byId("link").textContent = state === "lost" ? "Connection lost. Trying again …" : "";
  document.body.classList.toggle("offline", state === "lost");
}

function busy(change) {
  waiting += change;
  if (!waiting) byId("typing").textContent = "";
}

function submit() {
  const text = field.value.trim();
  if (!text || field.disabled) return;
  field.value = "";
  grow();
  say(text);
  field.focus();
}

function grow() {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 160)}px`;
}

function newSession() {
  fresh = true;
  clear();
  field.focus();
}

field.addEventListener("input", grow);
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && !field.value && sent.length) {
    event.preventDefault();
    field.value = sent[sent.length - 1];
    grow();
  } else if (event.key === "Escape") {
    byId("trace").focus();
  }
});

const LETTERS = { j: () => show(shown + 1), k: () => show(shown - 1), n: newSession, t: () => view("turn"),
                  e: () => view("explain"), s: () => view("sessions"), p: () => view("person"), r: () => view("reviews"), "/": () => field.focus(), "?": () => byId("keys").showModal() };

document.addEventListener("keydown", (event) => {
  if (event.target === field || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.target instanceof HTMLSelectElement || event.target instanceof HTMLInputElement) return;
  if (event.key === "Escape") field.focus();
  else if (byId("letters").checked && LETTERS[event.key]) {
    event.preventDefault();
    LETTERS[event.key]();
  }
});

byId("form").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
byId("agent").addEventListener("change", () => chooseAgent().catch((error) => explain("That did not work.", error.message)));
byId("new").addEventListener("click", newSession);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("older").addEventListener("click", () => show(shown - 1));
byId("newer").addEventListener("click", () => show(shown + 1));
for (const name of VIEWS) byId(`view-${name}`).addEventListener("click", () => view(name));
start();
