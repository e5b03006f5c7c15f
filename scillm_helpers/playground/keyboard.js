// In the panel, keys are the panel's: Jupyter would take x for "cut the cell". Ctrl+Enter in the prompt sends it.
// Jupyter's "run all" goes to the last cell; the panel comes back into view when it appears.
function render({ el }) {
  requestAnimationFrame(() => {
    const panel = el.closest(".scillm-playground");
    // Jupyter looks for this at the very element that has the focus.
    panel?.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", ""));
    panel?.scrollIntoView({ block: "start" });
    panel?.querySelector(".scillm-prompt textarea")?.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        panel.querySelector(".scillm-send").click();
      }
    });
  });
}

export default { render };
