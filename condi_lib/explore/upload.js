// Sends the chosen file to Upload (upload.py) piece by piece, and shows the result of the last file chosen, of no other.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);

function render({ model, el }) {
  const input = make("input", { type: "file", accept: "video/*,.avi,.mkv,.mov,.mp4,.webm,.ts", style: "display:none" });
  const button = make("button", { class: "jupyter-button widget-button widget-upload", style: "width:auto" }, "choose a video");
  const bar = make("progress", { max: 1, style: "display:none;width:240px" });
  const said = make("span", { class: "said", style: "margin-left:8px" });
  const shown = make("div", { class: "jupyter-widgets widget-output result jp-RenderedHTMLCommon", style: "padding:6px 0;overflow-x:auto" });
  el.append(make("div", { style: "display:flex;align-items:center;gap:8px" }, input, button, bar, said), shown);
  let file = null, id = model.get("result").id ?? null, patience = 0, url = null;

  function show() {
    const { id: of, name, error, html, picture } = model.get("result");
    shown.replaceChildren();
    if (url) URL.revokeObjectURL(url);
    url = null;
    if (!of || of !== id) return;
    clearTimeout(patience);
    bar.style.display = "none";
    said.textContent = error ? "" : name;
    if (error) return shown.append(make("div", { class: "error", style: "color:#b22222" }, error));
    const tables = make("div");
    tables.innerHTML = html;
    url = URL.createObjectURL(new Blob([picture], { type: "image/png" }));
    shown.append(tables, make("img", { src: url, alt: `the clips of ${name}`, style: "max-width:none" }));
  }

  function wait(text) {
    said.textContent = text;
    clearTimeout(patience);
    patience = setTimeout(() => { said.textContent = `${text} The kernel is busy, or the connection is lost: waiting.`; }, 8000);
  }

  function choose() {
    if (!input.files.length) return;
    file = input.files[0];
    input.value = ""; // so that the same file can be chosen again
    id = `${Date.now()}-${Math.random()}`;
    show(); // the result before is another file's
    bar.style.display = "";
    bar.value = 0;
    wait(`${file.name}: sending ${mib(file.size)} MiB.`);
    model.send({ kind: "start", id, name: file.name, size: file.size });
  }

  async function receive(content) {
    if (content.kind !== "received" || content.id !== id || !file) return;
    const { at } = content, of = id;
    bar.value = at / file.size;
    if (at >= file.size) {
      bar.removeAttribute("value");
      return wait(`${file.name}: ${mib(file.size)} MiB sent; decoding and classifying.`);
    }
    wait(`${file.name}: ${mib(at)} of ${mib(file.size)} MiB sent.`);
    try {
      const piece = await file.slice(at, at + model.get("piece")).arrayBuffer();
      if (of === id) model.send({ kind: "piece", id, at }, undefined, [piece]);
    } catch (error) {
      if (of !== id) return;
      clearTimeout(patience);
      bar.style.display = "none";
      said.textContent = `${file.name}: cannot be read by the browser: ${error.message}`;
    }
  }

  button.onclick = () => input.click();
  input.onchange = choose;
  model.on("msg:custom", receive);
  model.on("change:result", show);
  show();
  return () => {
    clearTimeout(patience);
    if (url) URL.revokeObjectURL(url);
    model.off("msg:custom", receive);
    model.off("change:result", show);
  };
}

export default { render };
