import { type ModuleModel, type TypeModel, typesNamed } from "./model.ts";
import { takeName, typeName } from "./names.ts";

/** The modules whose types a module names, each once, without itself. */
export function modulesNamed(module: ModuleModel): ModuleModel[] {
  const named = module.types.flatMap(typesNamed).map((type) => type.module);
  return [...new Set(named)].filter((one) => one !== module);
}

/** Whether a module names one that leads back to it. */
export function isCircular(module: ModuleModel, named: ModuleModel): boolean {
  const seen = new Set<ModuleModel>();
  const open = [named];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === module) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...modulesNamed(next));
  }
  return false;
}

/** The types that a type is made of when it is: those that an alias names, and again of these. Objects are made without. */
function made(type: TypeModel): Set<TypeModel> {
  const found = new Set<TypeModel>();
  const open = [type];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.shape.kind === "object") continue;
    for (const named of typesNamed(next)) {
      if (found.has(named)) continue;
      found.add(named);
      open.push(named);
    }
  }
  return found;
}

/**
 * Whether a type's alias in Python is a text: it is made of itself, or of what its module cannot import when it is made, or of
 * an alias that is a text.
 */
export function isText(type: TypeModel): boolean {
  const parts = [type, ...made(type)].filter(({ shape }) => shape.kind !== "object");
  return parts.some(
    (part) =>
      made(part).has(part) ||
      typesNamed(part).some((named) => named.module !== part.module && isCircular(part.module, named.module)),
  );
}

/** The types of a module such that each comes after those of the module that `needs` gives, but for circles. */
export function orderTypes(module: ModuleModel, needs: (type: TypeModel) => readonly TypeModel[]): TypeModel[] {
  const ordered = new Set<TypeModel>();
  const open = new Set<TypeModel>();
  const visit = (type: TypeModel): void => {
    if (type.module !== module || ordered.has(type) || open.has(type)) return;
    open.add(type);
    for (const needed of needs(type)) visit(needed);
    ordered.add(type);
  };
  for (const type of module.types) visit(type);
  return [...ordered];
}

/** What a module calls the types that it names: their own names, save where two would be the same. */
export function localNames(module: ModuleModel): Map<TypeModel, string> {
  const taken = new Set(module.types.map((type) => type.name));
  const names = new Map(module.types.map((type) => [type, type.name]));
  const foreign = new Set(module.types.flatMap(typesNamed).filter((type) => type.module !== module));
  for (const type of foreign) {
    const name = taken.has(type.name) ? typeName(type.module.path.join("-")) + type.name : type.name;
    names.set(type, takeName(name, taken));
  }
  return names;
}
