import { type Document, isCollection, isMap, isNode, isScalar, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { z } from "zod";
import { platformSchema } from "#shared/protocol/common.ts";
import { projectKeys, triggerKeys } from "#shared/protocol/project.ts";
import { didYouMean } from "../nearest.ts";
import type { Problem } from "../problems.ts";

/** A parsed salt.yaml: what turns a path within it into a line and a column. */
export interface YamlContext {
  readonly source: string;
  readonly lines: LineCounter;
  readonly document: Document.Parsed;
}

type Wrong =
  | { readonly kind: "syntax"; readonly errors: readonly YAMLError[] }
  | { readonly kind: "schema"; readonly issues: readonly z.core.$ZodIssue[] };

export function projectProblems(context: YamlContext, wrong: Wrong): Problem[] {
  return wrong.kind === "syntax"
    ? wrong.errors.map((error) => problemAt(context, error.pos[0], error.message))
    : wrong.issues.flatMap((issue) => schemaProblems(context, issue));
}

/** A problem at an offset of the file. */
export function problemAt(context: Pick<YamlContext, "source" | "lines">, offset: number, text: string): Problem {
  const { line, col } = context.lines.linePos(offset);
  return {
    file: "salt.yaml",
    line,
    column: col,
    text,
    source: context.source.split(/\r?\n/)[line - 1] ?? "",
  };
}

function schemaProblems(context: YamlContext, issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const known = issue.path[0] === "triggers" ? triggerKeys : projectKeys;
      const text = `unknown key '${key}'.${didYouMean(key, known)} Known here: ${known.join(", ")}.`;
      return problemAt(context, offsetOf(context, issue.path, key), text);
    });
  }
  const at = issue.path.join(".");
  return [
    problemAt(context, offsetOf(context, issue.path), `${at === "" ? "the file" : at}: ${issueText(context, issue)}`),
  ];
}

function issueText(context: YamlContext, issue: z.core.$ZodIssue): string {
  const given = valueAt(context, issue.path);
  if (given === undefined && issue.code !== "custom") return issue.path.length === 0 ? "is empty." : "is missing.";
  if (issue.code === "invalid_value" && typeof given === "string") {
    const values = issue.values.map(String);
    return `'${given}' is none of ${values.join(", ")}.${didYouMean(given, values)}`;
  }
  if (issue.code === "invalid_union" && issue.path.at(-1) === "kind") {
    const kinds = ["cron", "webhook"];
    return `'${String(given)}' is none of ${kinds.join(", ")}.${didYouMean(String(given), kinds)}`;
  }
  if (issue.path[0] === "platforms" && issue.code === "invalid_type" && typeof given === "string")
    return `must be a list, as in [${platformSchema.options.find((known) => known === given) ?? "linux-x64"}].`;
  return `${issue.message.replace(/^./, (first) => first.toLowerCase())}.`;
}

function valueAt(context: YamlContext, at: readonly PropertyKey[]): unknown {
  const node = at.length === 0 ? context.document.contents : context.document.getIn(at, true);
  return isScalar(node) ? node.value : (node ?? undefined);
}

/** Where the path is written; where it is not, its nearest written parent. With `key`, that key of the map there. */
export function offsetOf(context: YamlContext, at: readonly PropertyKey[], key?: string): number {
  const node: unknown = at.length === 0 ? context.document.contents : context.document.getIn(at, true);
  if (key !== undefined && isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
    if (isNode(pair?.key) && pair.key.range) return pair.key.range[0];
  }
  if ((isScalar(node) || isCollection(node)) && node.range) return node.range[0];
  return at.length === 0 ? 0 : offsetOf(context, at.slice(0, -1));
}

/** A problem of a valid salt.yaml that was found later; at the top of the file where the path is not written. */
export function problemInProject(source: string, at: readonly PropertyKey[], text: string): Problem {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const context = { source, lines, document };
  return problemAt(context, offsetOf(context, at), text);
}
