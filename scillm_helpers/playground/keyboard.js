// In the panel, keys are the panel's: Jupyter would take x for "cut the cell". Ctrl+Enter in the prompt sends it.
function render({ el }) {
  requestAnimationFrame(() => {
    const panel = el.closest(".scillm-playground");
    panel?.setAttribute("data-lm-suppress-shortcuts", "");
    panel?.querySelector(".scillm-prompt textarea")?.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        panel.querySelector(".scillm-send").click();
      }
    });
  });
}

export default { render };
