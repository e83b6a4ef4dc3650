import { registerHooks } from "node:module";
import { plants } from "./planted.ts";

/** Has the named fault in what is imported from now on. The fault must fit the source exactly once, or it is none. */
export function plantFault(name: string): void {
  const plant = plants[name];
  if (plant === undefined) throw new Error(`There is no planted fault '${name}': ${Object.keys(plants).join(", ")}`);
  const url = new URL(`../../${plant.file}`, import.meta.url).href;
  registerHooks({
    load(asked, context, nextLoad) {
      const loaded = nextLoad(asked, context);
      if (asked !== url) return loaded;
      const source = String(loaded.source);
      const parts = source.split(plant.from);
      if (parts.length !== 2) throw new Error(`The fault '${name}' does not fit ${plant.file} any more.`);
      return { ...loaded, source: parts.join(plant.to) };
    },
  });
}
