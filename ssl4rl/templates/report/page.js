// Lists the recorded replies of a report, filtered. Texts from data are set as text, never as HTML.
"use strict";
(() => {
  const { groups, images } = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("groups");
  const more = document.getElementById("more");
  const count = document.getElementById("count");
  const wide = matchMedia("(min-width: 48rem)");
  const PAGE = 20;
  const SIZE = 320, RADIUS = 11, MARGIN = 18;
  let found = [], shown = 0;

  const texts = groups.map((group) =>
    [group.id, group.prompt, group.gold, ...group.replies.flatMap((reply) => [reply.text, reply.answer])]
      .join("\n").toLowerCase());
  const means = groups.map((group) =>
    group.replies.reduce((sum, reply) => sum + reply.score, 0) / group.replies.length);
  const marksOf = (group) => group.marks || [];

  function offer(name, values) {
    const select = form.elements[name];
    for (const value of [...new Set(values)]) select.add(new Option(value, value));
    select.parentElement.hidden = select.options.length < 3;
  }
  offer("run", groups.map((group) => group.run));
  offer("kind", groups.map((group) => group.kind));
  offer("task", groups.map((group) => group.task));
  offer("outcome", groups.flatMap((group) => group.replies.map((reply) => reply.outcome)));
  offer("mark", groups.flatMap(marksOf));
  form.elements.mark.parentElement.hidden = form.elements.mark.options.length < 2;

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const text = wanted.text.toLowerCase();
    found = [];
    groups.forEach((group, place) => {
      if (["run", "kind", "task"].some((name) => wanted[name] && group[name] !== wanted[name])) return;
      if (wanted.mark && !marksOf(group).includes(wanted.mark)) return;
      if (wanted.outcome && !group.replies.some((reply) => reply.outcome === wanted.outcome)) return;
      if (text && !texts[place].includes(text)) return;
      found.push(place);
    });
    if (wanted.order === "latest") found.reverse();
    else if (wanted.order !== "first") {
      const sign = wanted.order === "lowest" ? 1 : -1;
      found.sort((a, b) => sign * (means[a] - means[b]) || b - a);
    }
    const replies = found.reduce((sum, place) => sum + groups[place].replies.length, 0);
    count.textContent = `${found.length} of ${groups.length} prompts, with ${replies} replies`;
    list.replaceChildren();
    shown = 0;
    show();
  }

  function show() {
    list.append(...found.slice(shown, shown + PAGE).map((place) => groupElement(groups[place])));
    shown = Math.min(shown + PAGE, found.length);
    more.hidden = shown === found.length;
  }

  function copy(name) {
    return document.getElementById(name).content.firstElementChild.cloneNode(true);
  }

  function groupElement(group) {
    const element = copy("group");
    const find = (selector) => element.querySelector(selector);
    find("h3").textContent = group.question || `${group.task}, ${group.where}`;
    find(".about").textContent = [group.kind, ...marksOf(group), group.where, group.task, group.run, group.id].join(" · ");
    (group.images || []).forEach((place, number, all) => {
      const image = new Image();
      image.src = images[place];
      image.alt = `Image ${number + 1} of ${all.length} in the prompt`;
      find(".asked").append(image);
    });
    if (group.drawing) find(".asked").append(drawing(group.drawing));
    if (group.prompt) find("details pre").textContent = group.prompt;
    else find("details").remove();
    if (wide.matches && group.prompt) find("details").open = true;
    const chance = group.chance === undefined ? "" : ` (chance ${group.chance.toFixed(2)})`;
    if (group.gold) find(".gold").textContent = `Gold: ${group.gold}${chance}`;
    find(".replies").append(...group.replies.map(replyElement));
    return element;
  }

  function replyElement(reply) {
    const element = copy("reply");
    element.classList.add(reply.outcome);
    const outcome = document.createElement("strong");
    outcome.textContent = `${reply.outcome} ${reply.score.toFixed(2)}`;
    const rest = [
      reply.reward === undefined ? "" : `reward ${reply.reward.toFixed(2)}`,
      reply.tokens ? `${reply.tokens} tokens` : "",
      reply.by || "",
    ].filter(Boolean).map((part) => ` · ${part}`);
    element.querySelector(".verdict").append(outcome, ...rest);
    element.querySelector("pre").textContent = reply.text || "(empty)";
    element.querySelector(".read").textContent =
      reply.answer === undefined ? "No answer could be read" : `Read: ${reply.answer}`;
    return element;
  }

  function svg(name, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function drawing({ nodes, edges, directed }) {
    const at = nodes.map(([, x, y]) => [x, y].map((part) => MARGIN + part * (SIZE - 2 * MARGIN)));
    const asked = nodes.filter((node) => node[3]).map((node) => node[0]);
    const about = asked.length ? `; asked about: ${asked.join(" and ")}` : "";
    const picture = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, "aria-hidden": "true" });
    for (const [from, to] of edges) {
      const [[x1, y1], [x2, y2]] = [at[from], at[to]];
      picture.append(svg("line", { class: "edge", x1, y1, x2, y2 }));
      if (directed) picture.append(arrow(x1, y1, x2, y2));
    }
    nodes.forEach(([number, , , isAsked], place) => {
      const [x, y] = at[place];
      picture.append(svg("g", { class: isAsked ? "node asked-about" : "node" },
        svg("circle", { cx: x, cy: y, r: RADIUS }), svg("text", { x, y }, String(number))));
    });
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = `The shown subgraph: ${nodes.length} nodes, ${edges.length} edges${about}`;
    figure.append(picture, caption);
    return figure;
  }

  function arrow(x1, y1, x2, y2) {
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const tip = [x2 - RADIUS * Math.cos(angle), y2 - RADIUS * Math.sin(angle)];
    const wing = (turn) => [tip[0] - 8 * Math.cos(angle + turn), tip[1] - 8 * Math.sin(angle + turn)];
    return svg("polygon", { class: "arrow", points: [tip, wing(0.4), wing(-0.4)].join(" ") });
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", show);
  filter();
})();
