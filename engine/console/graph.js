// Draws a scenario: one row per distance from the first step, the current step marked, the ways not taken thin.

import { draw, make } from "/dom.js";

const ROW = 64;
const NODE = 34;
const GAP = 18;

export function scenarioGraph(scenario, move) {
  const levels = layers(scenario);
  const places = place(levels);
  const width = Math.max(...[...places.values()].map((p) => p.x + p.w)) + 48;
  const height = levels.length * ROW + 8;
  const marker = `arrow-${scenario.id.replace(/\W/g, "-")}`;
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "graph", "aria-hidden": "true",
                                preserveAspectRatio: "xMidYMin meet" },
    draw("defs", {}, draw("marker", { id: marker, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7,
                                      markerHeight: 7, orient: "auto" },
      draw("path", { d: "M0 0 8 4 0 8z", class: "arrow" }))),
    edges(scenario, places, move, marker, width), nodes(scenario, places, move));
  picture.style.maxWidth = `${width * 1.15}px`;
  return make("figure", { class: "scenario" }, picture, asList(scenario, move));
}

function firstStep(scenario) {
  return scenario.start ?? scenario.steps[0].id;
}

function layers(scenario) {
  const steps = new Map(scenario.steps.map((step) => [step.id, step]));
  const depth = new Map([[firstStep(scenario), 0]]);
  const queue = [firstStep(scenario)];
  while (queue.length) {
    const id = queue.shift();
    for (const way of steps.get(id)?.next ?? []) {
      if (steps.has(way.to) && !depth.has(way.to)) {
        depth.set(way.to, depth.get(id) + 1);
        queue.push(way.to);
      }
    }
  }
  const rows = [];
  const last = Math.max(...depth.values()) + 1;
  for (const step of scenario.steps) (rows[depth.get(step.id) ?? last] ??= []).push(step.id);
  return untangle(rows.filter(Boolean), scenario.steps);
}

// Each row in the order of what leads to it, which keeps most lines from crossing.
function untangle(rows, steps) {
  const at = new Map();
  for (const row of rows) {
    const pull = (id) => {
      const from = steps.filter((step) => at.has(step.id) && step.next?.some((way) => way.to === id));
      return from.length ? from.reduce((sum, step) => sum + at.get(step.id), 0) / from.length : 0.5;
    };
    const pulls = new Map(row.map((id) => [id, pull(id)]));
    row.sort((a, b) => pulls.get(a) - pulls.get(b));
    row.forEach((id, index) => at.set(id, (index + 0.5) / row.length));
  }
  return rows;
}

function place(levels) {
  const measured = levels.map((row) => row.map((id) => ({ id, w: Math.max(64, id.length * 7.4 + 26) })));
  const widest = Math.max(...measured.map((row) => row.reduce((sum, node) => sum + node.w + GAP, 0)));
  const places = new Map();
  measured.forEach((row, level) => {
    let x = (widest - row.reduce((sum, node) => sum + node.w + GAP, -GAP)) / 2 + 24;
    for (const { id, w } of row) {
      places.set(id, { x, y: level * ROW + 6, w, level });
      x += w + GAP;
    }
  });
  return places;
}

function edges(scenario, places, move, marker, width) {
  const found = [];
  for (const step of scenario.steps) {
    for (const way of step.next ?? []) {
      const from = places.get(step.id);
      const to = places.get(way.to);
      if (!from || !to) continue;
      const classes = ["edge", to.level <= from.level ? "back" : "", move?.step === way.to ? "near" : ""];
      found.push(draw("path", { d: route(from, to, width), class: classes.join(" "),
                                "marker-end": `url(#${marker})` },
        draw("title", {}, [way.if, way.when, way.intent].filter(Boolean).join(", ") || "always")));
    }
  }
  return found;
}

function route(from, to, width) {
  if (to.level > from.level) {
    const [x1, y1, x2, y2] = [from.x + from.w / 2, from.y + NODE, to.x + to.w / 2, to.y - 2];
    const bend = to.level > from.level + 1 ? ROW * 0.8 : ROW * 0.35;
    return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
  }
  if (to.level === from.level && to !== from) {
    const rightward = to.x > from.x;
    const y = from.y + NODE / 2;
    return `M${rightward ? from.x + from.w : from.x} ${y}H${rightward ? to.x - 2 : to.x + to.w + 2}`;
  }
  const left = from.x + from.w / 2 < width / 2;
  const [x1, x2] = left ? [from.x, to.x - 2] : [from.x + from.w, to.x + to.w + 2];
  const [y1, y2] = [from.y + NODE / 2, to.y + NODE / 2];
  const side = left ? Math.max(2, Math.min(x1, x2) - 34) : Math.min(width - 2, Math.max(x1, x2) + 34);
  return `M${x1} ${y1}C${side} ${y1} ${side} ${y2} ${x2} ${y2}`;
}

function nodes(scenario, places, move) {
  return scenario.steps.map((step) => {
    const { x, y, w } = places.get(step.id);
    const kinds = ["node", state(step, move), step.checkpoint ? "checkpoint" : ""];
    return draw("g", { class: kinds.join(" ") },
      draw("title", {}, step.description || step.say || step.ask || step.id),
      draw("rect", { x, y, width: w, height: NODE, rx: 10 }),
      draw("text", { x: x + w / 2, y: y + NODE / 2 + 4.5, "text-anchor": "middle" },
        (step.checkpoint ? "⚑ " : "") + step.id));
  });
}

function state(step, move) {
  if (move?.step === step.id) return "current";
  return move?.skipped?.includes(step.id) ? "skipped" : "";
}

function asList(scenario, move) {
  return make("figcaption", { class: "hidden" }, `Scenario ${scenario.id}. `,
    make("ol", {}, scenario.steps.map((step) => make("li", {}, step.id,
      { current: ", current step", skipped: ", skipped" }[state(step, move)] ?? "",
      step.next?.length ? `, leads to ${step.next.map((way) => way.to).join(", ")}` : ", ends here"))));
}
