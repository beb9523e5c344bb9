// What a turn did: summary, phases over time, rules, scenario, verdicts, tools, the answer as it was sent.

import { make, milliseconds } from "/dom.js";
import { scenarioGraph } from "/graph.js";

// The order in which a turn goes through them; a run that was read back has lost it.
const PHASES = ["identify", "sense", "learn", "retrieve", "match", "orchestrate", "act", "plan", "speak", "enforce", "record"];

const RISKS = { GREEN: ["✓", "all checks passed"], YELLOW: ["◐", "passed after correction, or unsure"],
                RED: ["✕", "a hard rule was broken: the fallback was sent"],
                UNKNOWN: ["?", "could not be judged"], ERROR: ["!", "the turn failed"] };
const OUTCOMES = { pass: ["✓", "good"], fail: ["✕", "bad"], error: ["!", "bad"], not_applicable: ["–", "quiet"] };

export function describeTurn(turn, agent) {
  return [summary(turn), waterfall(turn.timings_ms ?? {}), rules(turn.rules ?? []),
          scenarios(turn.scenarios ?? [], agent), verdicts(turn.enforcement), tools(turn.tools ?? []),
          memory(turn.memory ?? []), raw(turn)].filter(Boolean);
}

function summary(turn) {
  const risk = turn.enforcement?.risk ?? "UNKNOWN";
  const [sign, meaning] = RISKS[risk] ?? RISKS.UNKNOWN;
  const usage = turn.usage ?? {};
  return make("div", { class: "summary" },
    make("span", { class: `chip risk-${risk.toLowerCase()}`, title: meaning },
      make("span", { "aria-hidden": "true" }, `${sign} `), risk),
    chip("type", turn.response_type), chip("status", turn.status), chip("language", turn.language),
    chip("time", milliseconds(turn.timings_ms?.total)),
    usage.model_calls ? chip("model calls", usage.model_calls) : null,
    make("span", { class: "turn-id", title: "Id of this turn and of its run" }, turn.turn_id));
}

function chip(name, value) {
  return value === "" || value === undefined ? null
    : make("span", { class: "chip", title: name }, make("span", { class: "hidden" }, `${name}: `), value);
}

function section(title, count, ...content) {
  return make("section", { class: "block" },
    make("h3", {}, title, count === null ? null : make("span", { class: "count" }, count)), ...content);
}

// Phases run one after the other: each begins where the one before it ended. Waiting for more words is no work, and
// has a line of its own.
export function waterfall(timings) {
  const phases = Object.entries(timings).filter(([name]) => name !== "total" && name !== "accumulate")
    .sort(([left], [right]) => PHASES.indexOf(left) - PHASES.indexOf(right));
  if (!phases.length) return null;
  const whole = Math.max(timings.total ?? 0, phases.reduce((sum, [, ms]) => sum + ms, 0), 0.001);
  let begun = 0;
  const rows = phases.map(([name, ms]) => {
    const bar = make("span", { class: "bar" });
    bar.style.left = `${(begun / whole) * 100}%`;
    bar.style.width = `${Math.max((ms / whole) * 100, 0.4)}%`;
    begun += ms;
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "lane" }, bar),
      make("td", { class: "number" }, milliseconds(ms)));
  });
  return section("Phases", milliseconds(timings.total ?? begun), make("table", { class: "waterfall" },
    make("caption", { class: "hidden" }, "Phases of the turn with their times"), make("tbody", {}, rows)),
    timings.accumulate ? make("p", { class: "why" }, `Before that, ${milliseconds(timings.accumulate)} of waiting for `
      + "more words.") : null);
}

function rules(list) {
  if (!list.length) return section("Rules", 0, make("p", { class: "quiet" }, "No rule matched."));
  return section("Rules", list.length, make("ul", { class: "rules" }, list.map((rule) => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${Math.max(0, Math.min(1, rule.score)) * 100}%`;
    return make("li", {},
      make("div", { class: "rule-head" }, make("span", { class: "name" }, rule.name || rule.id),
        make("span", { class: "number" }, rule.score.toFixed(2))),
      make("div", { class: "lane", "aria-hidden": "true" }, bar),
      make("p", { class: "why" }, make("code", {}, rule.id), rule.why ? ` ${rule.why}` : ""));
  })));
}

function scenarios(moves, agent) {
  if (!moves.length) return null;
  return section("Scenario", null, moves.map((move) => {
    const known = agent?.scenarios?.find((one) => one.id === move.id);
    return make("div", { class: "move" },
      make("p", {}, make("strong", {}, move.id), " ", make("span", { class: "chip" }, move.action.toLowerCase()),
        " at ", make("code", {}, move.step), move.why ? make("span", { class: "why" }, ` ${move.why}`) : null),
      known ? scenarioGraph(known, move) : null, considered(move.considered ?? []));
  }));
}

function considered(ways) {
  if (!ways.length) return null;
  return make("table", { class: "plain" },
    make("caption", { class: "hidden" }, "Transitions that were considered"),
    make("tbody", {}, ways.map((way) => make("tr", {},
      make("td", { class: way.holds ? "good" : "quiet" }, way.holds ? "✓" : "–"),
      make("th", { scope: "row" }, way.to ?? ""),
      make("td", { class: "number" }, Number.isFinite(way.score) ? way.score.toFixed(2) : ""),
      make("td", { class: "why" }, way.why ?? "")))));
}

function verdicts(enforcement) {
  if (!enforcement) return null;
  const broken = (enforcement.violations ?? []).map((one) => make("li", { class: "violation" },
    make("span", { class: one.severity === "hard" ? "bad" : "warn" }, `✕ ${one.severity} `),
    make("code", {}, one.rule), ` ${one.reason}`));
  const judged = (enforcement.checked ?? []).map(([rule, outcome]) => {
    const [sign, tone] = OUTCOMES[outcome] ?? ["?", "quiet"];
    return make("li", {}, make("span", { class: tone, "aria-hidden": "true" }, `${sign} `), make("code", {}, rule),
      make("span", { class: "why" }, ` ${outcome.replace("_", " ")}`));
  });
  const notes = [
    enforcement.regenerated ? `regenerated ${enforcement.regenerated} ×` : "",
    enforcement.fallback ? `sent instead: ${enforcement.fallback}` : ""].filter(Boolean).join(" · ");
  return section("Verdicts", judged.length, notes ? make("p", { class: "warn" }, notes) : null,
    make("ul", { class: "verdicts" }, broken, judged),
    broken.length + judged.length ? null : make("p", { class: "quiet" }, "No rule had to be judged."));
}

function tools(calls) {
  if (!calls.length) return null;
  return section("Tools", calls.length, make("table", { class: "plain" },
    make("caption", { class: "hidden" }, "Tool calls"), make("tbody", {}, calls.map((call) => make("tr", {},
      make("th", { scope: "row" }, call.name),
      make("td", { class: ["ok", "cached"].includes(call.status) ? "good" : "bad" }, call.status),
      make("td", { class: "number" }, milliseconds(call.ms)),
      make("td", { class: "why" }, call.error || JSON.stringify(call.arguments ?? {})))))));
}

function memory(hits) {
  if (!hits.length) return null;
  return section("Memory", hits.length, make("ul", { class: "verdicts" }, hits.map((hit) => make("li", {},
    make("code", {}, hit.chunk_id), " ", make("span", { class: "number" }, hit.score.toFixed(2))))));
}

function raw(turn) {
  const body = make("pre", { tabindex: "0" });
  return make("details", { class: "raw", ontoggle: () => { body.textContent ||= JSON.stringify(turn, null, 2); } },
    make("summary", {}, "JSON"), body);
}
