// What an operator looks up: the conversations there are and what was said in them, and what a text would match.

import { make } from "/dom.js";
import { desk } from "/operate.js";
import { ask, post } from "/stream.js";

const PAGE = 25;
const at = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

function block(title, ...content) {
  return make("section", { class: "block" }, make("h3", {}, title), ...content);
}

// The newest conversations of everybody. onTurn(turn, agentId, back) shows what one turn did.
export async function sessionsView(onTurn) {
  const list = make("div", {});
  const more = make("button", { type: "button", hidden: true }, "Older");
  const whose = make("input", { type: "search", "aria-label": "Person", placeholder: "Person", maxlength: 200 });
  let cursor = null;

  async function load(again) {
    if (again) cursor = null;
    const person = whose.value.trim();
    const page = await ask(`/v1/sessions?limit=${PAGE}${person ? `&interlocutor=${encodeURIComponent(person)}` : ""}`
      + `${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    if (again) list.replaceChildren();
    list.append(...page.items.map((one) => sessionCard(one, onTurn)));
    if (!list.childElementCount) list.append(make("p", { class: "quiet" }, "No conversation yet."));
    cursor = page.next_cursor;
    more.hidden = cursor === null;
  }

  const tell = (promise) => promise.catch((error) => list.append(make("p", { class: "bad" }, error.message)));
  more.addEventListener("click", () => tell(load(false)));
  whose.addEventListener("change", () => tell(load(true)));
  await load(true);
  return [make("div", { class: "deeds" }, whose), list, more];
}

function sessionCard(session, onTurn) {
  const inside = make("div", {});
  const open = make("button", { type: "button", "aria-expanded": "false" }, "Open");
  open.addEventListener("click", async () => {
    const shut = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!shut));
    open.textContent = shut ? "Open" : "Close";
    inside.replaceChildren(...(shut ? [] : await transcript(session, onTurn).catch(
      (error) => [make("p", { class: "bad" }, error.message)])));
  });
  return make("section", { class: "block" }, make("div", { class: "summary" },
    make("strong", { dir: "auto" }, session.interlocutor_id ?? ""), make("span", { class: "chip" }, session.agent_id),
    make("span", { class: "chip" }, session.channel),
    make("span", { class: `chip${session.handed_off ? " risk-yellow" : ""}` },
      session.handed_off ? "with a person" : session.status.toLowerCase()),
    make("span", { class: "why" }, `${session.turn_count} ${session.turn_count === 1 ? "turn" : "turns"}, ${at(session.last_activity_at)}`), open), inside);
}

async function transcript(session, onTurn) {
  const lines = make("ol", { class: "transcript" });
  let cursor = "";
  do {
    const page = await ask(`/v1/sessions/${session.id}/turns?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    lines.append(...page.items.map((one) => turnLine(one, session, onTurn)));
    cursor = page.next_cursor;
  } while (cursor);
  if (!lines.childElementCount) lines.append(make("li", { class: "quiet" }, "Nothing was answered yet."));
  if (session.closed_at) return [lines];
  const bar = make("div", { class: "deeds" });
  desk(bar, (text) => lines.append(make("li", {}, make("p", { dir: "auto" }, text))))(session.id);
  return [lines, bar];
}

function turnLine({ said, turn }, session, onTurn) {
  const risk = turn.enforcement?.risk ?? "UNKNOWN";
  return make("li", {}, said.map((text) => make("p", { class: "why", dir: "auto" }, text)),
    make("p", { dir: "auto" }, turn.reply),
    make("button", { type: "button", class: "chips", "aria-label": "Show what this turn did",
                     onclick: () => onTurn(turn, session.agent_id) },
      make("span", { class: `dot risk-${risk.toLowerCase()}`, title: risk }),
      `${turn.response_type.toLowerCase()} · ${turn.status}`));
}

// Which rules and scenarios a text would match for an agent, with every score; nothing is said or kept.
export function explainView(agent) {
  const words = make("input", { type: "text", maxlength: 10000, "aria-label": "A text", placeholder: "What somebody might say" });
  const result = make("div", {});
  const go = async () => {
    const text = words.value.trim();
    if (!text) return;
    try {
      result.replaceChildren(...explained(await post(`/v1/agents/${encodeURIComponent(agent.id)}/explain`, { text })));
    } catch (error) {
      result.replaceChildren(make("p", { class: "bad" }, error.message));
    }
  };
  words.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
  return [make("div", { class: "deeds" }, words, make("button", { type: "button", onclick: go }, "Explain")), result];
}

function explained(found) {
  const repaired = found.repaired.map(([written, read]) => `${written} read as ${read}`).join(", ");
  return [
    make("div", { class: "summary" }, [found.language, found.intent && `intent ${found.intent}`].filter(Boolean)
      .map((text) => make("span", { class: "chip" }, text)),
      found.learned.map((name) => make("span", { class: "chip", title: "a value was found" }, name))),
    repaired ? make("p", { class: "why" }, repaired) : null,
    found.fault ? make("p", { class: "bad" }, found.fault) : null,
    block("Rules", rulesTable(found.rules)),
    found.scenarios.length ? block("Scenarios", found.scenarios.map(scenarioLine)) : null].filter(Boolean);
}

function rulesTable(rules) {
  if (!rules.length) return make("p", { class: "quiet" }, "The agent has no rule.");
  const head = ["", "Rule", "Score", "Meaning", "Words", "Needs"];
  return make("div", { class: "wide" }, make("table", { class: "plain" },
    make("caption", { class: "hidden" }, "Every rule with its scores"),
    make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col", class: "why" }, name)))),
    make("tbody", {}, rules.map((rule) => make("tr", {},
      make("td", { class: rule.verdict === "applied" ? "good" : "quiet", title: rule.verdict },
        rule.verdict === "applied" ? "✓" : "–"),
      make("th", { scope: "row" }, rule.name || rule.id, make("p", { class: "why" }, rule.reason)),
      [rule.score, rule.vector, rule.lexical, rule.threshold].map((value) => make("td", { class: "number" },
        value.toFixed(2))))))));
}

function scenarioLine(one) {
  return make("div", { class: "move" }, make("p", {}, make("strong", {}, one.id), " ",
    one.status ? make("span", { class: "chip" }, `${one.status} at ${one.step}`) : null,
    make("span", { class: "number" }, ` ${one.score.toFixed(2)} of ${one.threshold.toFixed(2)}`)),
  make("p", { class: "why" }, [...one.actions.map(([action, why]) => `${action.toLowerCase()}: ${why}`), one.reason]
    .filter(Boolean).join("; ")));
}
