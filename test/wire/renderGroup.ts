/** A group of calls as text: what travels, in a form in which a change is a line of a diff. */
import { Schema } from "effect"
import type { RpcGroup } from "effect/rpc"

/** The parts of a call that decide what is on the wire. */
interface WireRpc {
  readonly payloadSchema: Schema.Top
  readonly successSchema: Schema.Top
  readonly errorSchema: Schema.Top
}

const isWireRpc = (rpc: unknown): rpc is WireRpc =>
  (typeof rpc === "object" || typeof rpc === "function") && rpc !== null && "payloadSchema" in rpc &&
  "successSchema" in rpc && "errorSchema" in rpc

const render = (schema: Schema.Top): unknown => {
  const { definitions, schema: shape } = Schema.toJsonSchemaDocument(schema)
  return Object.keys(definitions).length === 0 ? shape : { ...shape, definitions }
}

/** Every call by its name, with the schemas of what is asked, answered and refused. */
export const renderGroup = (group: RpcGroup.Any, protocolVersion: number): string => {
  const calls: Record<string, unknown> = {}
  const { requests } = group as { readonly requests?: ReadonlyMap<string, unknown> }
  for (const [name, rpc] of requests ?? []) {
    if (!isWireRpc(rpc)) throw new Error(`${name} is no call`)
    calls[name] = {
      payload: render(rpc.payloadSchema),
      success: render(rpc.successSchema),
      error: render(rpc.errorSchema)
    }
  }
  return `${JSON.stringify({ protocolVersion, calls }, null, 2)}\n`
}
