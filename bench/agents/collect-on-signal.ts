/** Given to a Node by `--import`, together with `--expose-gc`: SIGUSR2 has it collect its garbage. */
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  globalThis.gc?.();
});
