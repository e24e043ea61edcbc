/** What a key held, the latest first, each with what it changed in the one before. */
import { useEffect, useState } from "preact/hooks"
import { call } from "./Api.ts"
import { fromBase64 } from "./Bytes.ts"
import { diffLines } from "./Diff.ts"
import { dateTime } from "./Format.ts"
import { Problem } from "./Parts.tsx"
import { fittingForm, inForm } from "./ValueView.tsx"

interface Version {
  readonly revision: number
  readonly version: number
  readonly atMs: number | null
  readonly value: string | null
}

interface Page {
  readonly versions: ReadonlyArray<Version>
  readonly before: number | null
  readonly ends: "created" | "compacted" | "page"
}

const textIn = ({ value }: Version): string | undefined => {
  if (value === null) return undefined
  const bytes = fromBase64(value)
  return inForm(bytes, fittingForm(bytes))
}

const signs = { same: " ", added: "+", removed: "-" } as const

/** Lines of a difference that are shown. */
const maxLines = 400

const Difference = ({ before, now }: { readonly before: Version | undefined; readonly now: Version }) => {
  const [from, to] = [before === undefined ? "" : textIn(before), textIn(now)]
  if (from === undefined || to === undefined) return <p class="quiet">Too large to compare here.</p>
  const lines = before === undefined
    ? to.split("\n").map((text) => ({ kind: "added" as const, text }))
    : diffLines(from, to)
  return (
    <pre class="diff" tabIndex={0} aria-label={`What version ${now.version} changed`}>
      {lines.slice(0, maxLines).map(({ kind, text }, at) => (
        <span key={at} class={kind}>{`${signs[kind]} ${text}\n`}</span>
      ))}
      {lines.length > maxLines ? "…" : ""}
    </pre>
  )
}

export const KeyHistory = ({ id }: { readonly id: string }) => {
  const [versions, setVersions] = useState<ReadonlyArray<Version>>()
  const [page, setPage] = useState<Page>()
  const [problem, setProblem] = useState<string>()
  const more = async (before: number | null) => {
    try {
      const next = await call<Page>("history", { key: id, ...before === null ? {} : { before } })
      setPage(next)
      setVersions((known) => before === null ? next.versions : [...known ?? [], ...next.versions])
      setProblem(undefined)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
  }
  useEffect(() => void more(null), [id])
  return (
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      <Problem text={problem} />
      {versions === undefined
        ? problem === undefined ? <p class="quiet" aria-busy="true">Reading…</p> : null
        : (
          <ol class="history">
            {versions.map((one, at) => {
              const before = versions[at + 1]
              const isKnown = before !== undefined || one.version === 1
              return (
                <li key={one.revision}>
                  <details open={at === 0}>
                    <summary>
                      Version {one.version}, revision {one.revision}
                      {one.atMs === null ? "" : `, ${dateTime(one.atMs)}`}
                    </summary>
                    {isKnown
                      ? <Difference before={before} now={one} />
                      : (
                        <pre
                          class="value"
                          tabIndex={0}
                          aria-label={`Value of version ${one.version}`}
                        >{textIn(one)}</pre>
                      )}
                  </details>
                </li>
              )
            })}
          </ol>
        )}
      {page?.ends === "compacted" ? <p class="quiet">What was before is gone from the history.</p> : null}
      {page === undefined || page.before === null ?
        null :
        <button type="button" onClick={() => void more(page.before)}>Show earlier versions</button>}
    </section>
  )
}
