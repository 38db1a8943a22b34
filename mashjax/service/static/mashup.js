// A mashup: made, heard, seen, rated, downloaded.

import { ask, byId, element, notice, wait } from "./api.js";

const STARS = ["not at all", "hardly", "somewhat", "well", "perfectly"];
let under = null; // what ends the mix that is under way
let made = null; // {id, pair} of the mashup that is shown

export async function mix(song, part, partner) {
  under?.abort();
  under = new AbortController();
  const { signal } = under;
  notice("");
  show({ mixing: true, names: `${song.title} × ${partner.title}` });
  say("Waiting for its turn");
  const pair = {
    query: { song: song.id, part: part.number },
    partner: { song: partner.song, part: partner.part.number },
    role: partner.role,
  };
  let job = null;
  try {
    job = await ask("POST", "/api/mixes", { json: pair }); // to its end: its job must be known
    signal.throwIfAborted();
    await wait(job, (now) => say(now.stage || (now.state === "running" ? "starting" : "waiting")), signal);
    const report = await ask("GET", `/api/mixes/${job.id}/report`, { signal });
    if (made) await ask("DELETE", `/api/jobs/${made.id}`).catch(() => null);
    made = { id: job.id, pair };
    present(report, job.id, [song.title, partner.title]);
  } catch (error) {
    if (job) await ask("DELETE", `/api/jobs/${job.id}`).catch(() => null);
    if (signal !== under.signal) return; // another mix has taken the place
    byId("mashup").hidden = true;
    if (error.name !== "AbortError") notice(error.message);
  }
}

function show({ mixing, names }) {
  byId("mashup").hidden = false;
  byId("mixing").hidden = !mixing;
  byId("mixed").hidden = mixing;
  byId("mashup-audio").pause();
  if (names) byId("mashup-names").textContent = names;
  if (mixing) byId("mashup-title").focus();
  byId("mashup").scrollIntoView({ block: "nearest" });
}

const say = (stage) => (byId("mixing-text").textContent = stage[0].toUpperCase() + stage.slice(1));

function present(report, id, titles) {
  const address = `/api/mixes/${id}/audio`;
  byId("mashup-audio").src = address;
  byId("download").href = address;
  byId("mashup-why").textContent = [
    `${report.output.seconds.toFixed(1)} s`,
    `${report.alignment.tempo_bpm?.toFixed(1)} BPM`,
    `${report.output.lufs.toFixed(1)} LUFS`,
  ].join(" · ");
  draw(report.mask, titles);
  stars();
  show({ mixing: false });
}

/** How much of each song is heard when: the first above, the second below. */
function draw({ times, song2_share: share }, titles) {
  const end = times[times.length - 1] || 1;
  const point = (k) => `L${((1000 * times[k]) / end).toFixed(1)} ${(120 * (1 - share[k])).toFixed(1)}`;
  const line = times.map((_, k) => point(k)).join("");
  byId("curve-area").setAttribute("d", `M0 120${line}L1000 120Z`);
  const mean = share.reduce((sum, value) => sum + value, 0) / Math.max(1, share.length);
  const percent = Math.round(100 * mean);
  byId("curve-first").textContent = `${titles[0]}, ${100 - percent} %`;
  byId("curve-second").textContent = `${titles[1]}, ${percent} %`;
  byId("curve").ariaLabel =
    `How much of each song is heard: on average ${100 - percent} % ${titles[0]}, ${percent} % ${titles[1]}`;
}

function stars() {
  byId("rated").textContent = "";
  const labels = STARS.map((meaning, k) => {
    const input = element("input", { type: "radio", name: "stars", value: k + 1 });
    input.addEventListener("change", () => rate(k + 1));
    const said = k % 4 ? `${k + 1}` : `${k + 1} ${meaning}`;
    return element("label", { title: meaning }, input, said);
  });
  byId("stars").replaceChildren(byId("stars").querySelector("legend"), ...labels);
}

async function rate(rating) {
  try {
    await ask("POST", "/api/ratings", { json: { ...made.pair, rating } });
    byId("rated").textContent = `Kept: they go together ${STARS[rating - 1]}.`;
  } catch (error) {
    notice(error.message);
  }
}

byId("mixing-cancel").addEventListener("click", () => under?.abort());
byId("mashup-audio").addEventListener("timeupdate", ({ target }) => {
  const x = target.duration ? (1000 * target.currentTime) / target.duration : 0;
  for (const end of ["x1", "x2"]) byId("curve-now").setAttribute(end, x);
});
