/** The command that tells whether a node's configuration is right, without starting anything. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import type { ConfigProblem } from "../../config/ConfigProblem.ts"
import { InvalidConfig } from "../../config/ConfigProblem.ts"
import { unknownVariable, unknownVariables } from "../../config/UnknownVariables.ts"
import { openCollector } from "../../http/Collector.ts"
import * as Exposure from "../../net/Exposure.ts"
import { jsonFlag } from "../input/CertificateFlags.ts"
import { nodeConfig, nodeFlags } from "../input/NodeFlags.ts"
import { failureOf } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

const check = Command.make("check", { ...nodeFlags, json: jsonFlag }, ({ json, ...flags }) =>
  Effect.gen(function*() {
    const config = yield* nodeConfig(flags)
    const problems: Array<ConfigProblem> = unknownVariables(process.env).map((name) => ({
      field: "environment",
      problem: unknownVariable(name)
    }))
    yield* Effect.mapError(Exposure.refuse(config), failureOf)
    const { checkFiles } = yield* Effect.promise(() => import("../../server/NodeSecurity.ts"))
    for (const checked of [checkFiles(config), Effect.asVoid(openCollector(config))]) {
      yield* Effect.match(checked, {
        onSuccess: () => undefined,
        onFailure: (error) => problems.push(...error.problems)
      })
    }
    if (problems.length > 0) return yield* failureOf(new InvalidConfig({ problems }))
    yield* json ? Output.json(config) : Output.lines(JSON.stringify(config, null, 2))
  })).pipe(
    Command.withDescription(
      "Print the whole configuration that flags and FLAREDB_ variables make, or all that is wrong with it and with " +
        "the certificates and token that it names (exit code 2). With --json it is one object on a line, and what is " +
        "wrong is one in problems of the error."
    ),
    Command.withExamples([
      { command: "flaredb config check --node-id 1", description: "What flaredb start --node-id 1 would use" }
    ])
  )

export const config = Command.make("config").pipe(
  Command.withDescription("Work with a node's configuration."),
  Command.withSubcommands([check])
)
