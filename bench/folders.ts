import path from "node:path";

/** The folder of this checkout. */
export const saltFolder = path.resolve(import.meta.dirname, "..");

/** Where builds and profiles of the benchmarks are kept from one run to the next. */
export const benchCache = path.join(saltFolder, ".salt", "bench");
