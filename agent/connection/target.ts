/** The coordinator to be dialled, one of several over the same stores; the others are tried in turn. */
export interface Target {
  readonly url: string;
  readonly token: string;
  readonly count: number;
  next(): void;
}

/** `urls`: addresses by comma. Which one is first is drawn by `first`, in [0, 1), so that a fleet spreads over them. */
export function createTarget(urls: string, token: string, first: number): Target {
  const all = urls.split(",").map((url) => url.trim());
  let at = Math.floor(first * all.length);
  return {
    get url() {
      return all[at % all.length] as string;
    },
    token,
    count: all.length,
    next() {
      at += 1;
    },
  };
}
