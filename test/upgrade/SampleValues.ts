/**
 * Values of a schema as JSON, enough of them that each part of it has each of its forms at least once: each case of a
 * union, the ends of each range, an optional field there and absent, a list empty and not.
 */
import { Schema } from "effect"

/** What is read of a JSON schema. */
interface JsonSchema {
  readonly $ref?: string
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly not?: unknown
  readonly enum?: ReadonlyArray<unknown>
  readonly type?: string
  readonly contentEncoding?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: ReadonlyArray<string>
  readonly items?: JsonSchema
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
}

/** Texts that their fields do not take any of. */
const texts: Readonly<Record<string, string>> = {
  release: "0.1.0",
  instance: "0123456789abcdef0123456789abcdef"
}

class Samples {
  private readonly definitions: Readonly<Record<string, JsonSchema>>

  constructor(definitions: Readonly<Record<string, JsonSchema>>) {
    this.definitions = definitions
  }

  of(schema: JsonSchema, name = ""): ReadonlyArray<unknown> {
    if (schema.$ref !== undefined) {
      return this.of(this.definitions[schema.$ref.slice("#/$defs/".length)] as JsonSchema, name)
    }
    if (schema.anyOf !== undefined) return schema.anyOf.flatMap((one) => this.of(one, name))
    if (schema.enum !== undefined) return schema.enum
    // That of nothing.
    if (schema.not !== undefined) return []
    switch (schema.type) {
      case "null":
        return [null]
      case "boolean":
        return [false, true]
      case "integer":
      case "number":
        return this.numbers(schema)
      case "string":
        return schema.contentEncoding === "base64" ? ["", "AAECAw=="] : [texts[name] ?? "some text"]
      case "array": {
        const items = schema.items === undefined ? [] : this.of(schema.items, name)
        return [[], items]
      }
      case "object":
        return this.objects(schema)
      default:
        throw new Error(`${name} is of a kind without samples: ${JSON.stringify(schema)}`)
    }
  }

  private numbers({ exclusiveMinimum, maximum, minimum, type }: JsonSchema): ReadonlyArray<number> {
    const least = minimum ?? (exclusiveMinimum === undefined ? -5 : exclusiveMinimum + 1)
    const most = maximum ?? 1_000_000
    return [...new Set([least, type === "number" ? 0.5 : least + 1, most])].filter((one) => one <= most)
  }

  /** As many as the field with the most samples has, and one more with those fields alone that are not optional. */
  private objects({ properties = {}, required = [] }: JsonSchema): ReadonlyArray<unknown> {
    const fields = Object.entries(properties).map(([name, schema]) => [name, this.of(schema, name)] as const)
    const most = Math.max(1, ...fields.map(([, samples]) => samples.length))
    const sample = (at: number, all: boolean) =>
      Object.fromEntries(
        fields.flatMap(([name, samples]) =>
          samples.length > 0 && (all || required.includes(name)) ? [[name, samples[at % samples.length]]] : []
        )
      )
    const whole = Array.from({ length: most }, (_, at) => sample(at, true))
    return fields.length === required.length ? whole : [...whole, sample(0, false)]
  }
}

/** Values of the schema as its JSON, each once. */
export const samplesOf = (schema: Schema.Top): ReadonlyArray<unknown> => {
  const document = Schema.toJsonSchemaDocument(schema)
  const samples = new Samples(document.definitions as Readonly<Record<string, JsonSchema>>)
  return [...new Map(samples.of(document.schema as JsonSchema).map((one) => [JSON.stringify(one), one])).values()]
}
