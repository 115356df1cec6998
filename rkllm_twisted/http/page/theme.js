// Runs before the page is shown, so that it never flashes in the other colours.
try {
	const { theme } = JSON.parse(localStorage.getItem("rkllm.settings")) ?? {};
	if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
	// Without storage the system's colours are used.
}
