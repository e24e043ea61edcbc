/** The settings of a node as text, as flags and variables give them, before they are a configuration. */
import { Effect, Option } from "effect"
import type { InvalidConfig } from "./ConfigProblem.ts"
import type { FlareDbConfig } from "./FlareDbConfig.ts"
import { make, parseHosts } from "./FlareDbConfig.ts"
import type { Limits } from "./Limits.ts"
import { limitNames } from "./Limits.ts"
import { parseNodes } from "./NodeAddress.ts"
import type { IntegerName, TextName } from "./NodeSettings.ts"
import { timingNames } from "./NodeSettings.ts"

/** What was given; the rest has its default. */
export type Given =
  & { readonly nodeId: number; readonly unsafeNoFsync: boolean }
  & { readonly [Name in TextName]: Option.Option<string> }
  & { readonly [Name in IntegerName]: Option.Option<number> }

const chosen = <Name extends IntegerName>(given: Given, names: ReadonlyArray<Name>): { [N in Name]?: number } =>
  Object.fromEntries(names.flatMap((name) => Option.isSome(given[name]) ? [[name, given[name].value]] : [])) as {
    [N in Name]?: number
  }

/** The configuration that was given, or everything that is wrong with it. */
export const configOf = (given: Given): Effect.Effect<FlareDbConfig, InvalidConfig> =>
  Effect.gen(function*() {
    const nodes = Option.isSome(given.nodes) ? yield* parseNodes(given.nodes.value) : undefined
    const limits: Partial<Limits> = chosen(given, limitNames)
    return yield* make({
      nodeId: given.nodeId,
      unsafeNoFsync: given.unsafeNoFsync,
      ...(nodes === undefined ? {} : { nodes }),
      ...(Option.isSome(given.clusterId) ? { clusterId: given.clusterId.value } : {}),
      ...(Option.isSome(given.dataDir) ? { dataDir: given.dataDir.value } : {}),
      ...(Option.isSome(given.listenHost) ? { listenHost: given.listenHost.value } : {}),
      ...(Option.isSome(given.httpHosts) ? { httpHosts: parseHosts(given.httpHosts.value) } : {}),
      ...chosen(given, timingNames),
      limits
    })
  })
