/**
 * A codec of the RPC serialization with short ways for values of known shapes (`BytesTemplate.ts`). Everything else
 * goes the usual way; on the wire there is no difference.
 */
import { Schema } from "effect"
import type { RpcSerialization } from "effect/rpc"
import type { AnyBytesShape, BytesShape } from "./BytesTemplate.ts"
import { BytesTemplate } from "./BytesTemplate.ts"

type CodecFor = RpcSerialization.RpcSerialization["Service"]["codecFor"]

interface ShortWay {
  readonly shape: BytesShape<unknown>
  readonly template: BytesTemplate
}

export class ShapedCodec {
  /** @throws when the value is none of the schema. */
  private readonly encodeUsual: (value: unknown) => unknown
  private readonly decodeUsual: (encoded: unknown) => unknown
  private readonly shortWays: ReadonlyArray<ShortWay>

  constructor(codecFor: CodecFor, schema: Schema.Top, shapes: ReadonlyArray<AnyBytesShape>) {
    const codec = codecFor(schema) as Schema.Codec<unknown, unknown>
    this.encodeUsual = Schema.encodeUnknownSync(codec)
    this.decodeUsual = Schema.decodeUnknownSync(codec)
    this.shortWays = [...shapes, ...ownShape(schema)].flatMap((known) => {
      const shape = known as BytesShape<unknown>
      const template = BytesTemplate.learn((bytes) => this.encodeUsual(shape.of(bytes)) as Uint8Array)
      return template === undefined ? [] : [{ shape, template }]
    })
  }

  /** How many short ways there are. */
  get shapes(): number {
    return this.shortWays.length
  }

  /** @throws when the value is none of the schema. */
  encode(value: unknown): unknown {
    for (const { shape, template } of this.shortWays) {
      const bytes = shape.bytesOf(value)
      if (bytes instanceof Uint8Array) return template.encode(bytes)
    }
    return this.encodeUsual(value)
  }

  /** The value, whose bytes may be views of what is decoded. @throws when it is none of the schema. */
  decode(encoded: unknown): unknown {
    if (encoded instanceof Uint8Array) {
      for (const { shape, template } of this.shortWays) {
        const bytes = template.read(encoded)
        if (bytes !== undefined) return shape.of(bytes)
      }
    }
    return this.decodeUsual(encoded)
  }
}

/** A struct of nothing but one field of bytes has its shape by itself. */
const ownShape = (schema: Schema.Top): ReadonlyArray<BytesShape<unknown>> => {
  if (!("fields" in schema)) return []
  const fields = Object.entries(schema.fields as Record<string, unknown>)
  const [field] = fields
  if (fields.length !== 1 || field === undefined || field[1] !== Schema.Uint8Array) return []
  const [name] = field
  return [{
    of: (bytes) => ({ [name]: bytes }),
    bytesOf: (value) => (value as Record<string, Uint8Array | undefined>)[name]
  }]
}
