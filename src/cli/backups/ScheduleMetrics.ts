/** What a schedule says of itself in a file that node_exporter's textfile collector reads. */
export interface ScheduleState {
  readonly clusterId: string | undefined
  readonly attemptMs: number
  readonly succeeded: boolean
  /** When the newest backup in the folder was taken; `undefined` when there is none. */
  readonly newestMs: number | undefined
  readonly backups: number
  readonly bytes: number | undefined
  readonly tookMs: number
  readonly revision: number | undefined
  readonly failures: number
}

const escaped = (text: string): string => text.replace(/\\/g, "\\\\").replace(/"/g, "\\\"").replace(/\n/g, "\\n")

/** The page. Times are seconds, as Prometheus asks. */
export const scheduleMetrics = (state: ScheduleState): string => {
  const labels = state.clusterId === undefined ? "" : `{cluster="${escaped(state.clusterId)}"}`
  const metric = (name: string, type: "counter" | "gauge", help: string, value: number | undefined) =>
    value === undefined ? "" : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${labels} ${value}\n`
  const seconds = (ms: number | undefined) => ms === undefined ? undefined : ms / 1_000
  return [
    metric(
      "flaredb_backup_newest_timestamp_seconds",
      "gauge",
      "when the newest backup in the folder was taken",
      seconds(state.newestMs)
    ),
    metric(
      "flaredb_backup_attempt_timestamp_seconds",
      "gauge",
      "when a backup was last tried",
      seconds(state.attemptMs)
    ),
    metric("flaredb_backup_attempt_succeeded", "gauge", "1 when that backup is whole", state.succeeded ? 1 : 0),
    metric("flaredb_backup_failures_total", "counter", "backups that failed since the schedule began", state.failures),
    metric("flaredb_backup_duration_seconds", "gauge", "what the last attempt took", seconds(state.tookMs)),
    metric("flaredb_backup_bytes", "gauge", "bytes of rows in the last whole backup", state.bytes),
    metric("flaredb_backup_revision", "gauge", "revision of the last whole backup", state.revision),
    metric("flaredb_backups", "gauge", "backups of the schedule in the folder", state.backups)
  ].join("")
}
