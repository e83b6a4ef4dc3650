/** Every keyword of JSON Schema 2020-12, by what it is to the generators. `x-…` is passed over; any other is an error. */

/** Nothing of the type depends on them: they tell people something, or narrow values within the type. */
export const passedOver: ReadonlySet<string> = new Set([
  ...["$schema", "$id", "$comment", "$vocabulary", "title", "description", "default", "examples", "deprecated"],
  ...["readOnly", "writeOnly", "format", "pattern", "minLength", "maxLength"],
  ...["contentEncoding", "contentMediaType", "contentSchema", "minimum", "maximum", "exclusiveMinimum"],
  ...["exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "contains", "minContains"],
  ...["maxContains", "minProperties", "maxProperties", "dependentRequired", "discriminator"],
]);

/** What makes the type. */
export const shaping: ReadonlySet<string> = new Set([
  ...["$ref", "$defs", "definitions", "type", "enum", "const", "anyOf", "oneOf", "allOf", "not"],
  ...["properties", "required", "additionalProperties", "patternProperties", "propertyNames"],
  ...["items", "prefixItems", "unevaluatedProperties", "unevaluatedItems"],
]);

const cases = "use anyOf of the cases";
const byPointer = "refer by JSON pointer, as in #/$defs/Name";

/** Known and refused, with what to do instead. */
export const refused: ReadonlyMap<string, string> = new Map([
  ["if", cases],
  ["then", cases],
  ["else", cases],
  ["dependentSchemas", cases],
  ["dependencies", "use dependentRequired, or anyOf of the cases"],
  ["additionalItems", "use prefixItems and items, as of 2020-12"],
  ["$anchor", byPointer],
  ["$dynamicAnchor", byPointer],
  ["$dynamicRef", "use $ref"],
  ["$recursiveRef", "use $ref"],
  ["$recursiveAnchor", "use $ref"],
  ["nullable", 'say type: [..., "null"]'],
]);

/** Keywords that may not stand beside one that makes the whole type: their types would have to be joined. */
export const makesFields: readonly string[] = ["properties", "required", "additionalProperties", "patternProperties"];
