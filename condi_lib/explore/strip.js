// Draws Strip (strip.py): one column a clip, so that frames, bars, curves and choices of a clip stand above each other.
const RIGHT = "#0072b2", WRONG = "#d55e00", CHART = 84;

const CSS = `
.condi-strip { font-family: var(--jp-ui-font-family, sans-serif); font-size: 12px; color: var(--jp-ui-font-color1, #222); }
.condi-strip .scroll { overflow-x: auto; position: relative; }
.condi-strip table { border-collapse: collapse; table-layout: fixed; }
.condi-strip td { padding: 0; height: 20px; vertical-align: middle; overflow: hidden; white-space: nowrap; }
.condi-strip td.name { position: sticky; left: 0; z-index: 2; padding-right: 8px; text-align: right; text-overflow: ellipsis;
  background: var(--jp-layout-color0, white); }
.condi-strip td.answer { padding-left: 10px; text-overflow: ellipsis; }
.condi-strip td.said { white-space: normal; line-height: 1.25; font-size: 11px; }
.condi-strip td.number { text-align: center; color: var(--jp-ui-font-color2, #666); }
.condi-strip td.frame { cursor: pointer; padding: 0 1px; }
.condi-strip img { display: block; width: 100%; object-fit: contain; box-sizing: border-box; }
.condi-strip td.frame:hover img, .condi-strip td.frame.played img { outline: 2px solid #e69f00; outline-offset: -2px; }
.condi-strip tr.marks td { height: 12px; font-size: 10px; line-height: 12px; color: var(--jp-ui-font-color2, #666); }
.condi-strip .mark { height: 6px; }
.condi-strip .cell { height: 14px; margin: 0 1px; text-align: center; line-height: 14px; font-size: 10px; color: white;
  background: var(--jp-layout-color2, #ececec); }
.condi-strip tr.second td { border-bottom: 1px solid var(--jp-border-color2, #ddd); }
.condi-strip .cursor { position: absolute; top: 0; width: 2px; margin-left: -1px; background: #e69f00; z-index: 1;
  pointer-events: none; }
.condi-strip .player { display: flex; align-items: center; gap: 8px; margin-top: 6px; }
.condi-strip canvas { width: 192px; height: 192px; background: #888; }
.condi-strip button { cursor: pointer; min-width: 84px; height: 26px; }
.condi-strip input { width: 260px; }
.condi-strip svg text { font-size: 10px; fill: var(--jp-ui-font-color2, #666); }
`;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "rect", "line", "path", "circle", "text", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const jpeg = (bytes) => new Blob([bytes], { type: "image/jpeg" });
const row = (name, ...cells) => make("tr", {}, make("td", { class: "name", title: name }, name), ...cells);

// y from 0 to 1 as a chart of CHART pixels
function chart(width, draw) {
  const y = (value) => CHART - 6 - value * (CHART - 12);
  const svg = make("svg", { width, height: CHART, style: "display:block" });
  for (const at of [0, 0.5, 1]) {
    svg.append(make("line", { x1: 0, x2: width, y1: y(at), y2: y(at), stroke: "#ddd" }));
    if (at !== 0.5) svg.append(make("text", { x: 1, y: y(at) + (at ? 9 : -2) }, `${at}`));
  }
  draw(svg, y);
  return svg;
}

function bars([truth, largest, correct], w) {
  return chart(w * truth.length, (svg, y) => truth.forEach((p, i) => {
    const look = { x: i * w + w * 0.2, width: w * 0.6, y: y(p), height: y(0) - y(p), stroke: correct[i] ? RIGHT : WRONG };
    const said = `clip ${i}: true class ${p.toFixed(2)}, largest ${largest[i].toFixed(2)}`;
    const bar = make("rect", { ...look, fill: correct[i] ? RIGHT : "white", "stroke-width": 1.5 }, make("title", {}, said));
    const level = y(largest[i]);
    svg.append(bar, make("line", { x1: i * w + w * 0.1, x2: i * w + w * 0.9, y1: level, y2: level, stroke: "#222", "stroke-width": 1.5 }));
  }));
}

// Kept clips are full points, the others hollow; the second sampler's line is dashed
function lines(curves, n, w) {
  return chart(w * n, (svg, y) => [...curves].reverse().forEach(({ values, cells, colour, dashed }) => {
    const at = values.map((value, i) => [i * w + w / 2, y(value)]);
    const d = "M" + at.map((point) => point.join(",")).join("L");
    svg.append(make("path", { d, fill: "none", stroke: colour, "stroke-width": 1.5, "stroke-dasharray": dashed ? "5 3" : "none" }));
    at.forEach(([cx, cy], i) => svg.append(
      make("circle", { cx, cy, r: 3.5, stroke: colour, fill: cells[i] ? colour : "white", "stroke-width": 1.5 },
        make("title", {}, `clip ${i}: ${values[i].toFixed(3)}`))));
  }));
}

function render({ model, el }) {
  const scroll = make("div", { class: "scroll" }), cursor = make("div", { class: "cursor" });
  const canvas = make("canvas"), button = make("button", { class: "play" }, "▶ video");
  const slider = make("input", { type: "range", min: 0, max: 0, value: 0 }), time = make("span", { class: "time" });
  const player = make("div", { class: "player" }, canvas, button, slider, time);
  el.classList.add("condi-strip");
  el.append(make("style", {}, CSS), scroll, player);
  let movie = [], wanted = null, from = 0, until = 0, frame = 0, timer = 0, urls = [];
  let w = 40, label = 172, answers = 210; // widths of a clip's column, and of those to its left and right
  const view = () => model.get("view");
  const n_clips = () => (view().rows?.[0]?.cells ?? []).length;

  function pictures() {
    urls.forEach((url) => URL.revokeObjectURL(url));
    urls = model.get("images").map((bytes) => URL.createObjectURL(jpeg(bytes)));
  }

  function draw() {
    const now = view(), n = n_clips();
    player.style.display = now.n_frames ? "" : "none";
    if (!n) return scroll.replaceChildren();
    const room = el.clientWidth || 1000;
    [label, answers] = room < 900 ? [150, 132] : [172, 210];
    w = Math.max(22, Math.min(84, Math.floor((room - label - answers - 4) / n)));
    const clips = [...Array(n).keys()];
    const table = make("table", { style: `width:${label + answers + n * w}px` });
    const widths = [label, ...clips.map(() => w), answers];
    table.append(make("colgroup", {}, ...widths.map((width) => make("col", { style: `width:${width}px` }))));
    const marked = (now.marked ?? []).map((name) => now.rows.find((one) => one.name === name));
    table.append(row("clip", ...clips.map((i) => make("td", { class: "number" }, `${i}`))));
    if (now.kinds?.length) {
      const short = (kind) => (w < 60 && kind.length > w / 7 ? kind.slice(0, Math.max(1, Math.floor(w / 7) - 1)) + "…" : kind);
      table.append(row("shows", ...now.kinds.map((kind) => make("td", { class: "number", title: kind }, short(kind)))));
    }
    if (urls.length) {
      table.append(row("middle frame", ...clips.map((i) => {
        const image = make("img", { src: urls[i], alt: `clip ${i}`, title: `play clip ${i}`, style: `height:${w - 2}px` });
        const cell = make("td", { class: "frame" }, image);
        cell.onclick = () => {
          choose(i);
          play(i * now.clip_frames, (i + 1) * now.clip_frames, i);
        };
        return cell;
      })));
    }
    for (const one of marked) {
      const mark = (cell) => make("td", {}, make("div", { class: "mark", style: cell ? `background:${one.colour}` : "" }));
      const line = row(`kept by ${one.label}`, ...one.cells.map(mark));
      line.classList.add("marks");
      table.append(line);
    }
    const wide = (content) => make("td", { colspan: n, style: `height:${CHART}px` }, content);
    if (now.bars) {
      const line = row("teacher's probability", wide(bars(now.bars, w)), make("td", { class: "answer said" }));
      line.lastChild.innerHTML = `<span style="color:${RIGHT}">■</span> true class, right<br>` +
        `<span style="color:${WRONG}">□</span> true class, wrong<br>— largest of all`;
      table.append(line);
    }
    if (now.curves?.length) {
      const curves = now.curves.map((curve, i) => ({ ...curve, dashed: i > 0 }));
      const line = row("sampler's score", wide(lines(curves, n, w)), make("td", { class: "answer said" }));
      for (const { label, colour, dashed } of curves) {
        line.lastChild.append(make("div", { title: label }, make("b", { style: `color:${colour}` }, dashed ? "┄ " : "─ "), label));
      }
      line.lastChild.append(make("div", {}, "● kept  ○ not kept"));
      table.append(line);
    }
    const rest = now.rows.filter((one) => !marked.includes(one));
    for (const one of [...marked, ...rest]) {
      const letter = now.divided ? (cell) => cell : () => "";
      const cells = one.cells.map((cell) => make("td", {}, make("div", { class: "cell" }, letter(cell))));
      cells.forEach((cell, i) => {
        if (one.cells[i]) cell.firstChild.style.background = one.cells[i] === "S" ? "#009e73" : one.colour;
      });
      const answer = make("td", { class: "answer", title: one.answer ?? "" });
      if (one.answer !== undefined) {
        const known = one.right !== null && one.right !== undefined;
        const sign = make("b", { style: `color:${one.right ? RIGHT : WRONG}` }, known ? (one.right ? "✓ " : "✗ ") : "");
        answer.append(sign, `${one.answer} ${one.probability.toFixed(2)}`);
      }
      const line = row(one.label, ...cells, answer);
      line.classList.add("choice");
      if (marked.includes(one)) line.firstChild.style.fontWeight = "bold";
      if (one === marked.at(-1)) line.classList.add("second");
      table.append(line);
    }
    scroll.replaceChildren(table, cursor);
    move();
  }

  // The cursor and the player at `frame`
  function move() {
    const now = view();
    const below = scroll.querySelector("tr.choice");
    cursor.style.height = `${below ? below.offsetTop : 0}px`;
    cursor.style.left = `${label + (frame / (now.clip_frames || 1)) * w}px`;
    cursor.style.display = movie.length && frame < now.n_frames ? "" : "none";
    slider.max = Math.max(0, (now.n_frames || 1) - 1);
    slider.value = Math.floor(frame);
    time.textContent = movie.length ? `frame ${Math.floor(frame)} of ${now.n_frames}, ${(frame / now.fps).toFixed(1)} s` : "";
    const clip = model.get("clip");
    scroll.querySelectorAll("td.frame").forEach((cell, i) => cell.classList.toggle("played", i === clip));
    const image = movie[Math.min(movie.length - 1, Math.floor(frame / (now.stride || 1)))];
    if (!image) return;
    show(image);
  }

  function show(image) {
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
      canvas.style.height = `${(192 * image.height) / image.width}px`;
    }
    canvas.getContext("2d").drawImage(image, 0, 0);
  }

  function choose(clip) {
    model.set("clip", clip);
    model.save_changes();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "▶ video";
  }

  // Plays frames first to last - 1: once, or again and again where it is a clip
  function play(first, last, clip = -1) {
    stop();
    [from, until, frame] = [first, Math.min(last, view().n_frames), first];
    if (!movie.length) {
      wanted = () => play(first, last, clip);
      return model.send({ kind: "movie", video: now_shown });
    }
    const begin = performance.now();
    button.textContent = "❚❚ pause";
    timer = setInterval(() => {
      const passed = Math.floor(((performance.now() - begin) / 1000) * view().fps);
      frame = from + passed;
      if (frame >= until) {
        if (clip < 0) { frame = until - 1; stop(); } else frame = from + (passed % Math.max(1, until - from));
      }
      move();
    }, 25);
    move();
  }

  let now_shown = 0;
  function another() { // another video: nothing of the one before stays
    stop();
    now_shown += 1;
    [movie, wanted, frame] = [[], null, 0];
    pictures();
    draw();
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    const [first] = model.get("images"), of = now_shown;
    if (first) createImageBitmap(jpeg(first)).then((image) => { if (of === now_shown && !movie.length) show(image); });
  }

  async function receive(content, buffers) {
    if (content.kind !== "movie" || content.video !== now_shown || !wanted) return;
    const images = await Promise.all(buffers.map((bytes) => createImageBitmap(jpeg(bytes))));
    if (content.video !== now_shown || !wanted) return;
    movie = images;
    const go = wanted;
    wanted = null;
    go();
  }

  button.onclick = () => {
    if (timer) return stop();
    choose(-1);
    const at = Math.floor(frame) < view().n_frames - 1 ? Math.floor(frame) : 0;
    play(movie.length ? at : 0, view().n_frames);
  };
  slider.oninput = () => {
    const at = Number(slider.value);
    if (!movie.length) return play(at, at + 1);
    stop();
    frame = at;
    move();
  };
  model.on("change:images", another);
  model.on("change:view", draw);
  model.on("msg:custom", receive);
  const watcher = new ResizeObserver(draw);
  watcher.observe(el);
  another();
  return () => {
    stop();
    watcher.disconnect();
    urls.forEach((url) => URL.revokeObjectURL(url));
    model.off("change:images", another);
    model.off("change:view", draw);
    model.off("msg:custom", receive);
  };
}

export default { render };
