import { didYouMean } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";

/** A JSON Schema (draft 2020-12), or a part of one. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** What a value may be: the schema that an editor reads, and the check that goes with it. */
export interface Shape {
  readonly schema: JsonSchema;
  /** Everything that is wrong with a value, one line each. */
  readonly problemsOf: (value: unknown) => string[];
}

/** What a schema says beside the shape. */
export interface About {
  readonly description?: string;
  /** What holds when the value is not given. */
  readonly default?: unknown;
}

/** Text. */
export function text(about: About = {}): Shape {
  return shape({ type: "string" }, about, (value) => typeof value === "string", "must be text");
}

/** True or false. */
export function flag(about: About = {}): Shape {
  const isFlag = (value: unknown) => typeof value === "boolean";
  return shape({ type: "boolean" }, about, isFlag, "must be true or false");
}

/** A whole number in a range, both ends in it. */
export function whole(minimum: number, maximum: number, about: About = {}): Shape {
  const isIn = (value: unknown) =>
    Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum;
  const problem = `must be a whole number from ${minimum} to ${maximum}`;
  return shape({ type: "integer", minimum, maximum }, about, isIn, problem);
}

/** One of some values. */
export function choice(values: readonly (string | number)[], about: About = {}): Shape {
  const isOne = (value: unknown) => (values as readonly unknown[]).includes(value);
  const problem = `must be ${values.length > 1 ? "one of " : ""}${values.join(", ")}`;
  return {
    schema: { enum: values, ...about },
    problemsOf: (value) =>
      isOne(value) ? [] : [problem + didYouMean(String(value), values.map(String))],
  };
}

/** A value that has one of two shapes. */
export function either(first: Shape, second: Shape, about: About = {}): Shape {
  return {
    schema: { anyOf: [first.schema, second.schema], ...about },
    problemsOf: (value) => {
      const problems = [first.problemsOf(value), second.problemsOf(value)];
      return problems.some(({ length }) => length === 0) ? [] : [problems.flat().join(" or ")];
    },
  };
}

/** A list, with the least and the most of its length. */
export function list(
  of: Shape,
  { least = 0, most = Infinity }: { readonly least?: number; readonly most?: number },
  about: About = {},
): Shape {
  const minItems = least > 0 ? { minItems: least } : {};
  const maxItems = most < Infinity ? { maxItems: most } : {};
  return {
    schema: { type: "array", items: of.schema, ...minItems, ...maxItems, ...about },
    problemsOf: (value) => {
      if (!Array.isArray(value)) return ["must be a list"];
      if (value.length < least) return ["must not be empty"];
      if (value.length > most) return [`must not be more than ${most}`];
      return value.flatMap((each, at) =>
        of.problemsOf(each).map((problem) => `[${at}]: ${problem}`)
      )
        .slice(0, 1);
    },
  };
}

/** Which members an object must have. */
export interface Needed {
  /** All of these. */
  readonly all?: readonly string[];
  /** Exactly one of these. */
  readonly one?: readonly string[];
}

/** An object of these members and no others. */
export function object(
  members: Readonly<Record<string, Shape>>,
  { all = [], one = [] }: Needed,
  about: About = {},
): Shape {
  const properties = Object.fromEntries(
    Object.entries(members).map(([name, { schema }]) => [name, schema]),
  );
  return {
    schema: {
      ...about,
      type: "object",
      additionalProperties: false,
      ...all.length > 0 && { required: all },
      properties,
      ...one.length > 0 && { oneOf: one.map((name) => ({ required: [name] })) },
    },
    problemsOf: (value) => {
      if (!isObject(value)) return ["must be an object"];
      // A member that is undefined is not given.
      const given = Object.entries(value).filter(([, each]) => each !== undefined);
      const problems = given.flatMap(([name, each]) => {
        if (!Object.hasOwn(members, name)) {
          const names = Object.keys(members);
          const meant = didYouMean(name, names);
          return [`${shownValue(name)} is not known; there are ${names.join(", ")}${meant}`];
        }
        const problem = members[name]!.problemsOf(each).join("; ");
        return problem === "" ? [] : [`${name}: ${problem}`];
      });
      if (problems.length > 0) return problems;
      const names = given.map(([name]) => name);
      const missing = all.find((name) => !names.includes(name));
      if (missing !== undefined) return [`needs ${missing}`];
      const isOne = one.length === 0 || one.filter((name) => names.includes(name)).length === 1;
      return isOne ? [] : [`needs one of ${one.join(", ")}`];
    },
  };
}

/** A shape with a rule that a schema cannot say; it sees values of that shape only. */
export function withRule<Value>(
  { schema, problemsOf }: Shape,
  problemOf: (value: Value) => string | undefined,
): Shape {
  return {
    schema,
    problemsOf: (value) => {
      const problems = problemsOf(value);
      if (problems.length > 0) return problems;
      const problem = problemOf(value as Value);
      return problem === undefined ? [] : [problem];
    },
  };
}

function shape(
  schema: JsonSchema,
  about: About,
  isFit: (value: unknown) => boolean,
  problem: string,
): Shape {
  return { schema: { ...schema, ...about }, problemsOf: (value) => isFit(value) ? [] : [problem] };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
