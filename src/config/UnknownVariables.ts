/** Variables that look like settings and are none: a misspelled one would be ignored without a word. */
import { nodeVariables } from "./Variables.ts"

/** Those of the command line, and those with which its processes find each other. */
const others = new Set([
  "FLAREDB_BACKUP_DIR",
  "FLAREDB_CLUSTER_IDENTITY",
  "FLAREDB_ENDPOINTS",
  "FLAREDB_LOCK_LEASE",
  "FLAREDB_LOCK_REVISION",
  "FLAREDB_LOCK_RUN",
  "FLAREDB_LOG_FORMAT",
  "FLAREDB_PARENT_PIPE",
  "FLAREDB_RESTARTED",
  "FLAREDB_STOP_WITH_PARENT",
  "FLAREDB_TIMEOUT_MS",
  "FLAREDB_TOKEN",
  "FLAREDB_TOKEN_FILE"
])

/**
 * Of programs rather than nodes: the settings of actors, those of tests, and what Docker and Kubernetes put into the
 * environment of containers beside a service named `flaredb` or `flaredb-…`.
 */
const foreign: ReadonlyArray<RegExp> = [
  /^FLAREDB_(?:ACTORS_|TEST_)/,
  /^FLAREDB_(?:\w+_)?SERVICE_(?:HOST|PORT(?:_\w+)?)$/,
  /^FLAREDB_(?:\w+_)?PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?$/
]

/** The `FLAREDB_…` variables of an environment that nothing reads, in order. */
export const unknownVariables = (env: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> => {
  const known = new Set([...nodeVariables, ...others])
  return Object.keys(env).filter((name) => name.startsWith("FLAREDB_") && !known.has(name))
    .filter((name) => !foreign.some((pattern) => pattern.test(name)))
    .sort()
}

/** What is wrong with an unknown variable, and what to do. */
export const unknownVariable = (name: string): string =>
  `the variable ${name} is no setting and is ignored; docs/configuration.md and flaredb start --help list them`
