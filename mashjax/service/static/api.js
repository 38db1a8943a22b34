// The service's API, as the page uses it.

const TOKEN = "mashjax token";

// The address that the service prints ends in #token=...; it must not stay in sight.
const given = /^#token=(.+)$/.exec(location.hash);
if (given) {
  sessionStorage.setItem(TOKEN, decodeURIComponent(given[1]));
  history.replaceState(null, "", location.pathname);
}

/** The answer's JSON, null where it has none; throws an Error that can be shown. */
export async function ask(method, address, { json, body, signal } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  if (json) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, { method, headers, signal, body: json ? JSON.stringify(json) : body });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer.", { cause: error });
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => null);
  if (answer.ok) return said;
  const detail = said && typeof said.detail === "string" ? said.detail : `error ${answer.status}`;
  throw new Error(detail[0].toUpperCase() + detail.slice(1) + ".");
}

/** Wait until a job has ended; told(job) is called whenever it has been looked at. */
export async function wait(job, told, signal) {
  while (["waiting", "running"].includes(job.state)) {
    await new Promise((done) => setTimeout(done, 600));
    signal.throwIfAborted();
    job = await ask("GET", `/api/jobs/${job.id}`, { signal });
    told(job);
  }
  if (job.state !== "done") throw new Error(job.error || job.state);
}

export const clock = (seconds) =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export const keyName = (key) => `${key.tonic} ${key.mode}`;

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; strings become text, never HTML. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}
