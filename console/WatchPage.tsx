/** What happens to the keys of a prefix, as it happens. */
import { useEffect, useRef, useState } from "preact/hooks"
import { stream } from "./Api.ts"
import { fromBase64, readable, shownKey, toBase64, typedKey } from "./Bytes.ts"
import { bytes, clock } from "./Format.ts"
import { Heading, Problem } from "./Parts.tsx"
import { keysLink, watchLink } from "./Route.ts"

interface Change {
  readonly type: "put" | "delete"
  readonly key: string
  readonly value?: string
  readonly bytes?: number
}

interface Changes {
  readonly revision: number
  readonly atMs: number
  readonly left: number
  readonly changes: ReadonlyArray<Change>
}

interface ChangeRow extends Change {
  readonly id: string
  readonly revision: number
  readonly atMs: number
}

/** Revisions that came while nothing was watched: of this prefix or not, nobody here knows. */
interface GapRow {
  readonly id: string
  readonly type: "gap"
  readonly from: number
  readonly to: number
}

type Row = ChangeRow | GapRow

/** Changes that are kept, and how often what came is shown, in milliseconds. */
const maxRows = 200
/** Changes of one revision that a node sends. */
const maxOfRevision = 500
const showMs = 250

const gapText = ({ from, to }: GapRow): string =>
  from === to
    ? `Revision ${from} came while this page did not watch; it may have changed keys here.`
    : `Revisions ${from} to ${to} came while this page did not watch; they may have changed keys here.`

const shortValue = ({ bytes: size, value }: Change): string => {
  if (value === undefined) return ""
  const found = fromBase64(value)
  return (readable(found) ?? `${bytes(size ?? found.length)} of bytes`).slice(0, 200)
}

const useChanges = (prefix: string, paused: boolean) => {
  const [rows, setRows] = useState<ReadonlyArray<Row>>([])
  const [seen, setSeen] = useState(0)
  const [problem, setProblem] = useState<string>()
  const [began, setBegan] = useState(false)
  const waiting = useRef<Array<Row>>([])
  const unshown = useRef(0)
  /** The last revision that was watched. */
  const reached = useRef<number | undefined>(undefined)
  const [left, setLeft] = useState(0)
  useEffect(() => {
    if (paused) return
    let timer: ReturnType<typeof setTimeout> | undefined
    const show = () => {
      timer = undefined
      const came = waiting.current.splice(0).toReversed()
      setRows((before) => [...came, ...before].slice(0, maxRows))
      const more = unshown.current
      unshown.current = 0
      setSeen((count) => count + came.filter(({ type }) => type !== "gap").length + more)
      setLeft((count) => count + more)
    }
    const stop = stream(`/console/watch?prefix=${encodeURIComponent(prefix)}`, {
      onEvent: (event, data) => {
        setBegan(true)
        if (event === "began") {
          // From this revision on all is told.
          const to = (data as { readonly revision: number }).revision - 1
          const from = (reached.current ?? to) + 1
          if (from <= to) waiting.current.push({ id: `gap ${from}`, type: "gap", from, to })
          reached.current = to
          timer ??= setTimeout(show, showMs)
        }
        if (event !== "changes") return
        const { atMs, changes, left: more, revision } = data as Changes
        reached.current = revision
        unshown.current += more
        waiting.current.push(
          ...changes.map((change, at) => Object.assign(change, { id: `${revision}.${at}`, revision, atMs }))
        )
        timer ??= setTimeout(show, showMs)
      },
      onProblem: (found) => {
        setProblem(found)
        setBegan(false)
      }
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [prefix, paused])
  return { rows, seen, left, problem, began }
}

export const WatchPage = ({ prefix }: { readonly prefix: Uint8Array }) => {
  const [paused, setPaused] = useState(false)
  const { began, left, problem, rows, seen } = useChanges(toBase64(prefix), paused)
  return (
    <>
      <Heading>Watch</Heading>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault()
          location.hash = watchLink(typedKey(String(new FormData(event.currentTarget).get("prefix") ?? "")))
        }}
      >
        <label for="prefix">Prefix</label>
        <input id="prefix" name="prefix" defaultValue={shownKey(prefix)} autocomplete="off" spellcheck={false} />
        <button type="submit">Watch</button>
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? "Go on" : "Pause"}
        </button>
      </form>
      <Problem text={problem} />
      <p class="quiet" role="status">
        {paused ? "Paused" : began ? "Watching" : "Beginning"}
        {prefix.length === 0 ? " all keys" : ` keys that begin with ${shownKey(prefix)}`}.
      </p>
      <p class="quiet">
        {seen} changes{seen > maxRows ? `, the last ${maxRows} are shown` : ""}
        {left > 0 ? `; ${left} of them came with more than ${maxOfRevision} in one revision, and are left out` : ""}.
      </p>
      <ol class="events" aria-label="Changes, the latest first">
        {rows.map((row) =>
          row.type === "gap" ? <li key={row.id} class="gap">{gapText(row)}</li> : (
            <li key={row.id} class={row.type}>
              <span class="what">{row.type}</span>
              <a href={keysLink(prefix, fromBase64(row.key))}>{shownKey(fromBase64(row.key))}</a>
              <code class="short">{shortValue(row)}</code>
              <span class="quiet">{row.revision}, {clock(row.atMs)}</span>
            </li>
          )
        )}
      </ol>
    </>
  )
}
