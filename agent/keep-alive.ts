/** Keeps the process from ending while the agent has nothing but pending timers, as between two dials. */
export function keepProcessAlive(): { release(): void } {
  const timer = setInterval(() => {}, 2 ** 30);
  return { release: () => clearInterval(timer) };
}
