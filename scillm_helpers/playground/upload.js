// A picture from the reader's disk, sent in pieces: Jupyter's server closes a websocket at a message of more than 10 MB.
const PIECE = 1 << 20;

async function send(model, file) {
  if (file.size > model.get("limit")) {
    model.send({ refused: file.name, size: file.size });
    return;
  }
  for (let start = 0; start === 0 || start < file.size; start += PIECE) {
    const piece = await file.slice(start, start + PIECE).arrayBuffer();
    model.send({ name: file.name, size: file.size, start }, undefined, [piece]);
  }
}

function render({ model, el }) {
  el.classList.add("scillm-upload");
  const label = document.createElement("label");
  label.textContent = "Picture from a file";
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/png,image/jpeg,image/webp,image/gif";
  label.append(input);
  const held = document.createElement("span");
  held.setAttribute("role", "status");
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "jupyter-button scillm-remove";
  remove.textContent = "Remove picture";

  const show = () => {
    held.textContent = model.get("held");
    remove.hidden = !model.get("held");
  };
  input.addEventListener("change", async () => {
    if (input.files.length) await send(model, input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  remove.addEventListener("click", () => model.send({ remove: true }));
  model.on("change:held", show);
  show();
  el.append(label, held, remove);
}

export default { render };
