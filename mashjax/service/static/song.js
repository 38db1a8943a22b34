// A song: its waveform, its parts.

import { ask, byId, clock, element, keyName } from "./api.js";
import { showPartners } from "./partners.js";
import RegionsPlugin from "./regions.esm.js";
import WaveSurfer from "./wavesurfer.esm.js";

let wave = null;
let regions = null;
let until = Infinity; // seconds, where the part that plays ends

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const colours = () => ({
  waveColor: colour("wave"),
  progressColor: colour("first"),
  cursorColor: colour("second"),
});

export async function showSong(id) {
  const [song, outline] = await Promise.all([
    ask("GET", `/api/songs/${id}`),
    ask("GET", `/api/songs/${id}/peaks`),
  ]);
  const audio = byId("song-audio");
  byId("partners").hidden = true;
  byId("song").hidden = false;
  byId("song-title").textContent = song.title;
  byId("song-facts").textContent = [
    clock(song.seconds),
    song.tempo_bpm ? `${song.tempo_bpm.toFixed(1)} BPM` : "no beat",
    `${song.beats_per_bar} beats a bar`,
    keyName(song.key),
    ...song.doubts,
  ].join(" · ");
  wave?.destroy();
  audio.src = `/api/songs/${id}/audio`;
  wave = WaveSurfer.create({
    container: byId("song-wave"),
    media: audio,
    peaks: [outline.peaks],
    duration: outline.seconds,
    height: 96,
    barWidth: 2,
    barGap: 1,
    barRadius: 2,
    cspNonce: document.querySelector("meta[name=style-nonce]").content,
    ...colours(),
  });
  until = Infinity;
  byId("parts").replaceChildren(...song.parts.map((part) => partButton(song, part)));
  regions = wave.registerPlugin(RegionsPlugin.create());
  wave.once("ready", () => {
    for (const { number, start, end } of song.parts) {
      const look = { color: colour("part"), drag: false, resize: false };
      regions.addRegion({ id: String(number), start, end, ...look });
    }
    shade();
  });
  regions.on("region-clicked", (region) => {
    const part = song.parts.find((each) => String(each.number) === region.id);
    choosePart(song, part);
  });
  if (!song.parts.length) byId("parts").textContent = "No part of it could be made out.";
  byId("song-title").focus({ preventScroll: true });
}

function partButton(song, part) {
  const name = `${part.number + 1}: ${clock(part.start)}–${clock(part.end)}`;
  const voice = part.voice > 0.5 ? "voice" : "no voice";
  const facts = `${part.bars} bars · ${keyName(part.key)} · ${voice}`;
  const made = element("button", { type: "button", ariaPressed: "false" }, name);
  made.append(element("small", {}, facts));
  made.dataset.part = part.number;
  made.addEventListener("click", () => {
    choosePart(song, part);
    playPart(part);
  });
  return made;
}

function choosePart(song, part) {
  for (const button of byId("parts").children) {
    button.ariaPressed = String(button.dataset.part === String(part.number));
  }
  shade();
  showPartners(song, part);
}

/** Parts on the waveform look as their buttons do. */
function shade() {
  const chosen = byId("parts").querySelector("[aria-pressed=true]")?.dataset.part;
  for (const region of regions.getRegions()) {
    region.setOptions({ color: colour(region.id === chosen ? "chosen" : "part") });
  }
}

function playPart(part) {
  const audio = byId("song-audio");
  until = part.end;
  audio.currentTime = part.start;
  audio.play();
}

byId("song-audio").addEventListener("timeupdate", ({ target }) => {
  if (target.currentTime < until) return;
  until = Infinity;
  target.pause();
});
byId("song-audio").addEventListener("seeking", ({ target }) => {
  if (target.currentTime > until) until = Infinity; // whoever moves on wants to hear on
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (!wave) return;
  wave.setOptions(colours());
  shade();
});
// One thing at a time.
document.addEventListener(
  "play",
  ({ target }) => {
    for (const audio of document.querySelectorAll("audio")) if (audio !== target) audio.pause();
  },
  true,
);
