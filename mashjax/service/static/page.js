// The list of songs, and songs that are brought; the rest is in song.js, partners.js, mashup.js.

import { ask, byId, clock, element, keyName, notice, wait } from "./api.js";
import { showSong } from "./song.js";

const PAGE = 100;
const KEPT = "mashjax uploads";
let listed = 0;
let bringing = null; // what ends the upload that is under way

const uploads = () => JSON.parse(sessionStorage.getItem(KEPT) || "[]");
const keep = (songs) => sessionStorage.setItem(KEPT, JSON.stringify(songs));

async function list() {
  const search = byId("search").value;
  const query = new URLSearchParams({ search, first: listed, most: PAGE });
  const found = await ask("GET", `/api/songs?${query}`);
  if (search !== byId("search").value) return; // more has been typed since
  if (listed === 0) byId("songs").replaceChildren(...uploads().map((song) => row(song, true)));
  byId("songs").append(...found.songs.map((song) => row(song, false)));
  listed += found.songs.length;
  byId("count").textContent = `${listed} of ${found.total} song${found.total === 1 ? "" : "s"}`;
  byId("more").hidden = listed >= found.total;
}

function row(song, own) {
  const facts = own ? "brought by you" : about(song);
  const pick = element("button", { type: "button", className: "pick" }, song.title);
  pick.append(element("small", {}, facts));
  pick.dataset.song = song.id;
  pick.addEventListener("click", () => choose(song.id).catch(told));
  const made = element("li", {}, pick);
  if (own) {
    const name = `Delete ${song.title}`;
    const remove = element("button", { type: "button", title: name, ariaLabel: name }, "✕");
    remove.addEventListener("click", () => forget(song.id).catch(told));
    made.append(remove);
  }
  return made;
}

function about(song) {
  const tempo = song.tempo_bpm && `${Math.round(song.tempo_bpm)} BPM`;
  const facts = [song.folder, clock(song.seconds), tempo, keyName(song.key)];
  return facts.filter(Boolean).join(" · ");
}

async function choose(id) {
  notice("");
  await showSong(id);
  for (const button of document.querySelectorAll("#songs .pick")) {
    button.ariaCurrent = String(button.dataset.song === id);
  }
}

async function forget(id) {
  keep(uploads().filter((song) => song.id !== id));
  await refresh();
  await ask("DELETE", `/api/uploads/${id}`);
}

async function bring(file) {
  if (bringing) return;
  notice("");
  bringing = new AbortController();
  const { signal } = bringing;
  const say = (text) => (byId("uploading-text").textContent = text);
  byId("uploading").hidden = false;
  let brought = null;
  try {
    say(`Sending ${file.name}`);
    const query = new URLSearchParams({ name: file.name.slice(0, 200) });
    brought = await ask("POST", `/api/uploads?${query}`, { body: file, signal });
    await wait(brought.job, (job) => say(job.stage || "Waiting for its turn"), signal);
    keep([{ id: brought.song, title: file.name }, ...uploads()]);
    await refresh();
    await choose(brought.song);
  } catch (error) {
    if (brought) await ask("DELETE", `/api/uploads/${brought.song}`);
    if (error.name !== "AbortError") told(error);
  } finally {
    bringing = null;
    byId("uploading").hidden = true;
    byId("file").value = "";
  }
}

const told = (error) => notice(error.message);

async function refresh() {
  listed = 0;
  await list();
}

byId("search").addEventListener("input", () => refresh().catch(told));
byId("more").addEventListener("click", () => list().catch(told));
byId("uploading-cancel").addEventListener("click", () => bringing?.abort());
byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) bring(event.target.files[0]).catch(told);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // a file dropped beside the place would replace the page
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) bring(event.dataTransfer.files[0]).catch(told);
  });
}
refresh().catch(told);
