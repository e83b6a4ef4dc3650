/** `512 B`, `1.4 KiB`, `143 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const amount = bytes / 1024 ** power;
  return `${amount < 100 ? amount.toFixed(1) : Math.round(amount)} ${units[power - 1]}`;
}
