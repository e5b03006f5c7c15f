// Code to copy. The clipboard is the browser's: where a page may not write to it, the code is selected instead.
async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(pre);
    return document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
  }
}

function render({ model, el }) {
  el.classList.add("scillm-snippet");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "jupyter-button";
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", `The last call in ${model.get("language")}`);

  const show = () => {
    pre.textContent = model.get("code");
    button.textContent = `Copy as ${model.get("language")}`;
    button.disabled = !model.get("code");
  };
  button.addEventListener("click", async () => (button.textContent = await copy(pre)));
  model.on("change:code", show);
  show();
  el.append(button, pre);
}

export default { render };
