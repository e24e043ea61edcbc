/** The settings of a node as text, as flags and variables give them, before they are a configuration. */
import { Effect, Option } from "effect"
import type { InvalidConfig } from "./ConfigProblem.ts"
import type { FlareDbConfig } from "./FlareDbConfig.ts"
import { make, parseHosts } from "./FlareDbConfig.ts"
import type { Limits } from "./Limits.ts"
import { limitNames } from "./Limits.ts"
import { parseNodes } from "./NodeAddress.ts"
import type { ChoiceName, IntegerName, OtlpTextName, SwitchName, TextName } from "./NodeSettings.ts"
import { choiceSettings, timingNames } from "./NodeSettings.ts"
import type { PathName } from "./Security.ts"
import { pathNames } from "./Security.ts"

/** What was given; the rest has its default. */
export type Given =
  & { readonly nodeId: number }
  & { readonly [Name in SwitchName]: boolean }
  & { readonly [Name in TextName | PathName | ChoiceName]: Option.Option<string> }
  & { readonly [Name in IntegerName]: Option.Option<number> }

type Optional = IntegerName | OtlpTextName | PathName | ChoiceName

const otlpNames = ["otlpEndpoint", "otlpHeadersFile", "otlpIntervalMs"] as const

const chosen = <Name extends Optional>(given: Given, names: ReadonlyArray<Name>): Chosen<Name> =>
  Object.fromEntries(
    names.flatMap((name) => {
      const value: Option.Option<number | string> = given[name]
      return Option.isSome(value) ? [[name, value.value]] : []
    })
  ) as Chosen<Name>

/** The settings among `Name` that were given, with the types that the configuration has. */
type Chosen<Name extends Optional> = Partial<Pick<FlareDbConfig & Limits, Name>>

/** A word that is none of the choices is found by the validation, like everything else that is wrong. */
const choiceNames = Object.keys(choiceSettings) as ReadonlyArray<ChoiceName>

/** The configuration that was given, or everything that is wrong with it. */
export const configOf = (given: Given): Effect.Effect<FlareDbConfig, InvalidConfig> =>
  Effect.gen(function*() {
    const nodes = Option.isSome(given.nodes) ? yield* parseNodes(given.nodes.value) : undefined
    const limits: Partial<Limits> = chosen(given, limitNames)
    return yield* make({
      nodeId: given.nodeId,
      unsafeNoFsync: given.unsafeNoFsync,
      insecure: given.insecure,
      auditStrict: given.auditStrict,
      ...(nodes === undefined ? {} : { nodes }),
      ...(Option.isSome(given.clusterId) ? { clusterId: given.clusterId.value } : {}),
      ...(Option.isSome(given.dataDir) ? { dataDir: given.dataDir.value } : {}),
      ...(Option.isSome(given.listenHost) ? { listenHost: given.listenHost.value } : {}),
      ...(Option.isSome(given.httpHosts) ? { httpHosts: parseHosts(given.httpHosts.value) } : {}),
      ...chosen(given, timingNames),
      ...chosen(given, otlpNames),
      ...chosen(given, pathNames),
      ...chosen(given, choiceNames),
      limits
    })
  })
