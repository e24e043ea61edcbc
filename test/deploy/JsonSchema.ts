/**
 * As much of JSON Schema as the OpenAPI description of Kubernetes uses. An unknown keyword throws, so that none is passed
 * over when the schemas are replaced.
 */

export interface JsonSchema {
  readonly $ref?: string
  readonly type?: string
  readonly format?: string
  readonly enum?: ReadonlyArray<unknown>
  readonly required?: ReadonlyArray<string>
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | false
  readonly items?: JsonSchema
  readonly oneOf?: ReadonlyArray<JsonSchema>
}

export type Definitions = Readonly<Record<string, JsonSchema>>

const keywords = new Set([
  "$ref",
  "type",
  "format",
  "enum",
  "required",
  "properties",
  "additionalProperties",
  "items",
  "oneOf"
])

/** A number and a unit of the decimal or the binary series. */
const quantity = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?$/

const formats: Readonly<Record<string, (value: unknown) => boolean>> = {
  int32: (value) => typeof value !== "number" || Math.abs(value) < 2 ** 31,
  int64: (value) => typeof value !== "number" || Number.isSafeInteger(value),
  double: () => true,
  byte: (value) => typeof value !== "string" || /^[A-Za-z0-9+/]*={0,2}$/.test(value),
  "date-time": (value) => typeof value !== "string" || !Number.isNaN(Date.parse(value)),
  quantity: (value) => typeof value !== "string" || quantity.test(value)
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const hasType = (type: string, value: unknown): boolean => {
  switch (type) {
    case "object":
      return isRecord(value)
    case "array":
      return Array.isArray(value)
    case "integer":
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

/** What is wrong with a value, each with the path to it; nothing when it is valid. */
export const problemsOf = (
  definitions: Definitions,
  schema: JsonSchema,
  value: unknown,
  path = ""
): ReadonlyArray<string> => {
  for (const keyword of Object.keys(schema)) {
    if (!keywords.has(keyword)) throw new Error(`the keyword ${keyword} is not known`)
  }
  const { additionalProperties, format, items, oneOf, properties = {}, required = [], type } = schema
  if (schema.$ref !== undefined) {
    const definition = definitions[schema.$ref.replace("#/definitions/", "")]
    if (definition === undefined) throw new Error(`there is no definition ${schema.$ref}`)
    return problemsOf(definitions, definition, value, path)
  }
  if (oneOf !== undefined) {
    const fits = oneOf.filter((one) => problemsOf(definitions, one, value, path).length === 0)
    return fits.length === 1 ? [] : [`${path} is none of what it may be: ${JSON.stringify(value)}`]
  }
  if (type !== undefined && !hasType(type, value)) return [`${path} is no ${type}: ${JSON.stringify(value)}`]
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${path} is not one of ${schema.enum}`]
  if (format !== undefined) {
    const holds = formats[format]
    if (holds === undefined) throw new Error(`the format ${format} is not known`)
    if (!holds(value)) return [`${path} is no ${format}: ${JSON.stringify(value)}`]
  }
  if (Array.isArray(value)) {
    return items === undefined
      ? []
      : value.flatMap((each, i) => problemsOf(definitions, items, each, `${path}/${i}`))
  }
  if (!isRecord(value)) return []
  return [
    ...required.filter((name) => !(name in value)).map((name) => `${path}/${name} is missing`),
    ...Object.entries(value).flatMap(([name, each]) => {
      const property = properties[name] ?? additionalProperties
      if (property === false) return [`${path}/${name} is no field`]
      return property === undefined ? [] : problemsOf(definitions, property, each, `${path}/${name}`)
    })
  ]
}
