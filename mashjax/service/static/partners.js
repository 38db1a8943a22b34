// What mixes with a part, best first.

import { ask, byId, clock, element, keyName, notice } from "./api.js";
import { mix } from "./mashup.js";

let shown = null; // the song and the part

export async function showPartners(song, part) {
  shown = { song, part };
  byId("partners").hidden = false;
  byId("partners-title").textContent =
    `What mixes with ${clock(part.start)}–${clock(part.end)} of ${song.title}`;
  byId("partners-status").textContent = "Looking for partners …";
  byId("ranking").replaceChildren();
  const role = document.querySelector("input[name=role]:checked").value;
  const asked = shown;
  try {
    const found = await ask(
      "GET",
      `/api/songs/${song.id}/parts/${part.number}/partners?role=${role}`,
    );
    if (asked !== shown) return; // another part has been chosen since
    const count = found.partners.length;
    byId("partners-status").textContent = count
      ? `${count} part${count === 1 ? "" : "s"}, best first`
      : "Nothing in the library has a tempo, meter and key that can be brought to it.";
    byId("ranking").replaceChildren(...found.partners.map((partner) => row(song, part, partner)));
  } catch (error) {
    byId("partners-status").textContent = "";
    notice(error.message);
  }
}

function row(song, part, partner) {
  const score = element("span", { className: "score" }, String(Math.round(100 * partner.total)));
  score.append(element("small", {}, " %"));
  const { start: from, end, tempo_bpm: tempo, key } = partner.part;
  const does = partner.role === "lead" ? "it backs" : "it leads";
  const span = `${clock(from)}–${clock(end)}`;
  const facts = [span, does, `${tempo.toFixed(0)} BPM`, keyName(key)].join(" · ");
  const why = partner.why[0].toUpperCase() + partner.why.slice(1);
  const text = element("div", {}, element("h3", {}, partner.title));
  text.append(element("p", {}, `${why}.`), element("p", { className: "quiet" }, facts));
  const hear = element("button", { type: "button", ariaLabel: `Hear ${partner.title}` }, "Hear");
  const start = element(
    "button",
    { type: "button", className: "main", ariaLabel: `Mix with ${partner.title}` },
    "Mix",
  );
  const made = element("li", {}, score, text, element("div", { className: "actions" }, hear, start));
  made.append(parts(partner));
  hear.addEventListener("click", () => listen(made, partner));
  start.addEventListener("click", () => mix(song, part, partner));
  return made;
}

/** The parts of the score. */
function parts(partner) {
  const list = element("dl");
  for (const [name, value] of Object.entries(partner.parts)) {
    const gauge = element("meter", { min: 0, max: 1, value });
    gauge.ariaLabel = `${name}: ${Math.round(100 * value)} %`;
    list.append(element("dt", {}, name), element("dd", {}, gauge));
  }
  return element("details", {}, element("summary", {}, "How the score comes about"), list);
}

/** Play the partner's part as it is in its own song. */
function listen(row, partner) {
  let audio = row.querySelector("audio");
  if (!audio) {
    audio = element("audio", { controls: true, src: `/api/songs/${partner.song}/audio` });
    audio.ariaLabel = partner.title;
    audio.addEventListener("timeupdate", () => {
      if (audio.currentTime >= partner.part.end && audio.currentTime < partner.part.end + 0.6) {
        audio.pause();
      }
    });
    row.append(audio);
  }
  audio.currentTime = partner.part.start;
  audio.play();
}

for (const input of document.querySelectorAll("input[name=role]")) {
  input.addEventListener("change", () => shown && showPartners(shown.song, shown.part));
}
