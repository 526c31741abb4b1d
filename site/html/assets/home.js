// "Ask again" without loading the page, and by itself once a second if asked to.
import { ask, colour } from "./whoami.js";

const KEPT = 16;
const by = (id) => document.getElementById(id);
const hero = by("hero");
const auto = by("auto");
// Who keeps asking; one that was stopped while it waited for an answer is another by then.
let asking = null;

async function again() {
  const answer = await ask("/whoami/once");
  const chip = document.createElement("li");
  if (answer.error) {
    chip.className = "bad";
    chip.textContent = answer.error;
  } else {
    hero.className = `hero ${colour(answer.node)}`;
    by("pod").textContent = answer.pod;
    by("node").textContent = answer.node;
    chip.className = colour(answer.node);
    // The end of the name tells the pods of one Deployment apart.
    chip.textContent = answer.pod.split("-").at(-1);
    chip.title = `${answer.pod} on ${answer.node}`;
  }
  by("answers").hidden = false;
  by("answers").prepend(chip);
  while (by("answers").childElementCount > KEPT) by("answers").lastElementChild.remove();
  return answer;
}

by("again").addEventListener("click", async (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { pod, node, error } = await again();
  by("said").textContent = error ? `Failed: ${error}` : `Served by pod ${pod} on node ${node}`;
});

async function keepAsking(self) {
  while (asking === self) {
    if (!document.hidden) await again();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

auto.hidden = false;
auto.addEventListener("click", () => {
  const running = asking !== null;
  asking = running ? null : {};
  if (asking) keepAsking(asking);
  auto.setAttribute("aria-pressed", String(!running));
  auto.textContent = running ? "Keep asking" : "Stop asking";
});
