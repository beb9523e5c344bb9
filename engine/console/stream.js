// Talks to the server. A turn is followed to its end over any number of lost connections: before its session is known
// the message is sent again under the same idempotency key, afterwards the session's events are read from the cursor.

const SILENT_MS = 40000; // the server sends a heartbeat every 15 s
const LAST = new Set(["turn.completed", "turn.failed"]);

export class Refused extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.error?.code ?? "";
    this.requestId = body?.error?.request_id ?? "";
    this.retryable = Boolean(body?.error?.retryable);
    this.retryAfter = body?.error?.retry_after_seconds ?? 0;
  }
}

export async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? null : response.json();
}

export function post(path, body, headers = {}) {
  return ask(path, posting(body, headers));
}

function posting(body, headers) {
  return { method: "POST", body: JSON.stringify(body), credentials: "same-origin",
           headers: { "Content-Type": "application/json", ...headers } };
}

async function refusal(response) {
  let body = null;
  try { body = await response.json(); } catch { /* not ours: the status must do */ }
  return new Refused(response.status, body);
}

// onEvent(kind, data) for each event of the turn, once; onLink("lost" | "back") as the connection goes and comes.
export async function converse(body, onEvent, onLink) {
  const key = newKey();
  const seen = { session: null, turn: null, seq: 0, ended: false };
  for (let attempt = 0; !seen.ended; attempt += 1) {
    try {
      await follow(body, key, seen, (kind, data) => {
        if (attempt) onLink("back");
        attempt = 0;
        try { onEvent(kind, data); } catch (error) { reportError(error); } // a fault of the page is no lost connection
      });
    } catch (error) {
      if (error instanceof Refused && !(mayPass(error, seen) && attempt < 20)) throw error;
    }
    if (!seen.ended) {
      onLink("lost");
      await until(Math.min(500 * 2 ** attempt, 8000));
    }
  }
  onLink("back");
}

// Restarting or stopping servers answer 503; a session is readable once its first turn is written.
function mayPass(error, seen) {
  return error.status === 503 || (error.status === 404 && seen.turn !== null);
}

async function follow(body, key, seen, onEvent) {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), SILENT_MS);
  try {
    const response = seen.turn === null
      ? await fetch("/v1/chat/stream", { ...posting(body, { "Idempotency-Key": key }), signal: stop.signal })
      : await fetch(`/v1/sessions/${encodeURIComponent(seen.session)}/events?after=${seen.seq}`,
                    { credentials: "same-origin", signal: stop.signal });
    if (!response.ok) throw await refusal(response);
    for await (const event of frames(response.body, () => {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENT_MS);
    })) {
            if (take(event, seen)) onEvent(event.kind, event.data);
      if (seen.ended) return;
    }
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}

// Whether the event is news of this turn. A turn that was replaced goes on as the one that replaced it.
function take(event, seen) {
  const { kind, data } = event;
  if (kind !== "turn.phase") {
    if (data.seq !== undefined && data.seq <= seen.seq) return false;
    if (data.seq !== undefined) seen.seq = data.seq;
  }
  if (seen.turn === null && data.turn_id) {
    seen.turn = data.turn_id;
    seen.session = data.session_id;
  }
  if (data.turn_id && data.turn_id !== seen.turn) return false;
  if (kind === "turn.superseded" && data.superseded_by) seen.turn = data.superseded_by;
  seen.ended = LAST.has(kind);
  return true;
}

async function* frames(body, onBytes) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    rest += decoder.decode(value, { stream: true });
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

export function parse(block) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return data.length ? { kind, data: JSON.parse(data.join("\n")) } : null;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const until = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
