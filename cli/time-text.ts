const pad = (amount: number): string => String(amount).padStart(2, "0");

/** `14:03:59`, in this machine's time zone. */
export function timeText(atMs: number): string {
  const at = new Date(atMs);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** `2026-03-01 14:03:59`, in this machine's time zone. */
export function dateText(atMs: number): string {
  const at = new Date(atMs);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${timeText(atMs)}`;
}
