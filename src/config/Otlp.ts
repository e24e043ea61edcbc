/** The settings of the export to a collector, and what is wrong with how they were given. */
import { withoutUserInfo } from "../WithoutUserInfo.ts"
import type { ConfigProblem } from "./ConfigProblem.ts"
import type { IntegerSetting } from "./Setting.ts"
import { flagOf, integerProblem } from "./Setting.ts"

export const otlpIntegerSettings = {
  otlpIntervalMs: {
    unit: "milliseconds",
    default: 30_000,
    minimum: 1_000,
    text:
      "milliseconds between two exports of the metrics; spans leave every five seconds, or sooner when they are many"
  }
} satisfies Record<string, IntegerSetting>

export interface OtlpConfig {
  readonly otlpEndpoint?: string | undefined
  readonly otlpHeadersFile?: string | undefined
  readonly otlpIntervalMs: number
}

/** What is wrong with the address of a collector, if anything. */
const endpointProblem = (endpoint: string): string | undefined => {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    const shown = JSON.stringify(withoutUserInfo(endpoint))
    return `${shown} is no address such as http://127.0.0.1:4318 or https://collector.example`
  }
  if (url.username !== "" || url.password !== "") {
    return `has a user or password, which every process can see; put a header into ${`--${flagOf("otlpHeadersFile")}`}`
  }
  return url.search === "" && url.hash === "" ? undefined : "must end with its path: /v1/metrics and /v1/traces follow"
}

export const otlpProblems = (config: OtlpConfig): ReadonlyArray<ConfigProblem> => {
  const { otlpEndpoint, otlpHeadersFile, otlpIntervalMs } = config
  const named = (field: string, problem: string | undefined) => problem === undefined ? [] : [{ field, problem }]
  return [
    ...named("otlpEndpoint", otlpEndpoint === undefined ? undefined : endpointProblem(otlpEndpoint)),
    ...named(
      "otlpHeadersFile",
      otlpHeadersFile !== undefined && otlpEndpoint === undefined
        ? `is of no use without --${flagOf("otlpEndpoint")}`
        : undefined
    ),
    ...named("otlpIntervalMs", integerProblem(otlpIntegerSettings.otlpIntervalMs, otlpIntervalMs))
  ]
}
