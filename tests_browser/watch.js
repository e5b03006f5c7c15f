// What a reader sees of each code cell, whenever it changes; `at` is in milliseconds, as the endpoint's clock counts.
// Loaded into a page with an open notebook; a second time it forgets what it has seen.
(() => {
  const ERROR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]';
  window.watch?.stop();
  const cells = () => [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")];
  const outputs = [], keys = [], started = new Set();
  const last = { text: new Map(), height: new Map(), scroll: new Map(), prompt: new Map() };
  const changed = (what, cell, value) => last[what].get(cell) !== value && last[what].set(cell, value);

  const look = () => {
    const at = Date.now();
    const scroll = document.querySelector(".jp-WindowedPanel-outer")?.scrollTop ?? 0;
    cells().forEach((node, cell) => {
      const prompt = node.querySelector(".jp-InputPrompt")?.textContent ?? "";
      last.prompt.set(cell, prompt);
      if (prompt.includes("*")) started.add(cell);
      const area = node.querySelector(".jp-Cell-outputArea");
      const shown = [...(area?.querySelectorAll(".jp-OutputArea-output") ?? [])];
      const text = shown.map((output) => output.textContent).join("");
      const height = area?.offsetHeight ?? 0;
      const news = [changed("text", cell, text), changed("height", cell, height), changed("scroll", cell, scroll)];
      if (news.some(Boolean)) outputs.push({ cell, at, text, height, scroll });
    });
  };
  const press = (event) => keys.push(event.key);
  const mutations = new MutationObserver(look);
  const sizes = new ResizeObserver(look);
  const notebook = document.querySelector(".jp-Notebook");
  mutations.observe(notebook, { subtree: true, childList: true, characterData: true });
  cells().forEach((node) => sizes.observe(node));
  notebook.addEventListener("scroll", look, true);
  document.addEventListener("keydown", press, true);
  look();
  started.clear();

  window.watch = {
    outputs,
    keys,
    // How often the text of a cell has grown, since it was cleared as the cell began to run.
    growth: (cell) => {
      const texts = outputs.filter((shown) => shown.cell === cell).map((shown) => shown.text);
      const sizes = texts.includes("") ? texts.slice(texts.indexOf("")).map((text) => text.trim().length) : [];
      return sizes.filter((size, place) => size > Math.max(0, ...sizes.slice(0, place))).length;
    },
    // Whether these cells have been started since, and have run, or were left out because one of them failed.
    // A prompt is empty, or has its number, for a moment as its turn comes: the kernel is idle again after that.
    finished: (wanted) => {
      const prompts = wanted.map((cell) => last.prompt.get(cell));
      const failed = wanted.some((cell) => cells()[cell].querySelector(ERROR));
      return (
        document.querySelector("#jp-main-statusbar").textContent.includes("| Idle") &&
        wanted.every((cell) => started.has(cell)) &&
        (failed ? !prompts.some((text) => text.includes("*")) : prompts.every((text) => /\d/.test(text)))
      );
    },
    stop: () => {
      mutations.disconnect();
      sizes.disconnect();
      notebook.removeEventListener("scroll", look, true);
      document.removeEventListener("keydown", press, true);
    },
  };
})();
