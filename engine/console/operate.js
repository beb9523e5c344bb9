// What an operator does here: take a conversation over, judge what the agent did, look at what is kept of a person.

import { make } from "/dom.js";
import { ask, post } from "/stream.js";

const at = (time) => new Date(time).toLocaleString();

function block(title, ...content) {
  return make("section", { class: "block" }, make("h3", {}, title), ...content);
}

// A sentence that says how an action ended, read aloud when it changes.
function notice() {
  return make("p", { class: "why", role: "status" });
}

async function told(line, action) {
  try { line.textContent = await action(); } catch (error) { line.textContent = error.message; }
}

// Approve, reject or rate the turn; or have the record say why it came out so.
export function reviewForm(turn) {
  const note = make("input", { type: "text", maxlength: 4000, "aria-label": "Why", placeholder: "Why" });
  const line = notice();
  const words = make("pre", { hidden: true });
  const judge = (verdict, done) => () => told(line, async () => {
    if (!note.value.trim()) return "Write why first.";
    await post(`/v1/runs/${turn.turn_id}/review`, { verdict, note: note.value.trim() });
    return done;
  });
  const explain = () => told(line, async () => {
    words.textContent = (await post(`/v1/runs/${turn.turn_id}/explain`, {})).note;
    words.hidden = false;
    return "";
  });
  return block("Review", make("div", { class: "deeds" }, note,
    make("button", { type: "button", onclick: judge("approve", "Approved.") }, "Approve"),
    make("button", { type: "button", onclick: judge("reject", "Rejected.") }, "Reject"),
    make("button", { type: "button", onclick: explain }, "Explain")), line, words);
}

// Runs that nobody has judged, the gravest first.
export async function queueView() {
  const { items } = await ask("/v1/reviews/queue?limit=50");
  if (!items.length) return [block("To review", make("p", { class: "quiet" }, "Nothing waits for a review."))];
  return items.map((run) => {
    const more = make("div", {});
    const line = notice();
    const open = () => told(line, async () => {
      more.replaceChildren(...opened(await ask(`/v1/runs/${run.id}`)));
      return "";
    });
    return make("section", { class: "block" }, make("div", { class: "summary" },
      make("span", { class: `chip risk-${run.risk.toLowerCase()}` }, run.risk), make("span", { class: "chip" }, run.agent_id),
      make("span", { class: "why" }, at(run.created_at)),
      make("button", { type: "button", onclick: open }, "Open")), line, more);
  });
}

function opened({ turn, said }) {
  const broken = (turn.enforcement?.violations ?? []).map((one) => make("li", { class: "bad" }, `${one.rule}: ${one.reason}`));
  return [make("p", { class: "why", dir: "auto" }, said.join(" / ")), make("p", { dir: "auto" }, turn.reply),
    make("ul", { class: "verdicts" }, broken), reviewForm(turn)];
}

// What is known and remembered of somebody.
export async function personView(person) {
  const path = `/v1/interlocutors/${encodeURIComponent(person)}`;
  let known;
  try { known = await ask(path); } catch (error) {
    if (error.status !== 404) throw error;
    return [block("Person", make("p", { class: "quiet" }, "Nothing is kept of this person."))];
  }
  return [block(`Known of ${known.interlocutor_id}`, fields(known.fields)), await memories(path)];
}

function fields(values) {
  const rows = Object.entries(values);
  if (!rows.length) return make("p", { class: "quiet" }, "No field has a value.");
  return make("table", { class: "plain" }, make("caption", { class: "hidden" }, "Fields of this person"),
    make("tbody", {}, rows.map(([name, one]) => make("tr", {}, make("th", { scope: "row" }, name),
      make("td", {}, one.masked ? "•••" : typeof one.value === "object" ? JSON.stringify(one.value) : String(one.value)),
      make("td", { class: one.verified ? "good" : "quiet" }, one.verified ? `✓ ${one.verified_by}` : "unproven"),
      make("td", { class: "why" }, `${one.source.replaceAll("_", " ")}, ${at(one.at)}`)))));
}

async function memories(path) {
  let items = [];
  try { ({ items } = await ask(`${path}/memories?limit=50`)); } catch (error) {
    if (error.status === 403) return null;
    throw error;
  }
  if (!items.length) return block("Remembered", make("p", { class: "quiet" }, "Nothing is remembered."));
  return block("Remembered", make("ul", { class: "verdicts" }, items.map((one) => make("li", {},
    make("strong", {}, `${one.speaker}: `), make("span", { dir: "auto" }, one.text),
    make("span", { class: "why" }, ` ${at(one.at)}`)))));
}

// The bar under a conversation by which a person takes it over, speaks in the agent's place, and gives it back.
// onSaid(text) for each thing that the person said.
export function desk(element, onSaid) {
  let session = null;
  const words = make("input", { type: "text", maxlength: 10000, "aria-label": "Your words", placeholder: "Your words" });
  const line = notice();
  const act = (deed, body) => told(line, async () => {
    await post(`/v1/sessions/${session}/${deed}`, body);
    return look();
  });
  const say = () => {
    const text = words.value.trim();
    if (!text) return;
    words.value = "";
    act("reply", { text }).then(() => onSaid(text));
  };
  const take = make("button", { type: "button", onclick: () => act("takeover", {}) }, "Take over");
  const mine = [words, make("button", { type: "button", onclick: say }, "Say it"),
    make("button", { type: "button", onclick: () => act("return", {}) }, "Give back")];
  words.addEventListener("keydown", (event) => { if (event.key === "Enter") say(); });
  element.replaceChildren(line, take, ...mine);

  async function look() {
    const { handed_off: away, handover } = await ask(`/v1/sessions/${session}`);
    const taken = Boolean(away && handover?.by);
    take.hidden = taken;
    mine.forEach((one) => { one.hidden = !taken; });
    return taken ? `${handover.by} has this conversation.` : away ? "A person is asked for." : "";
  }

  return (id) => {
    session = id;
    element.hidden = !id;
    if (id) told(line, look);
  };
}
