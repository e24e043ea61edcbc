/** One key: its value as it changes, what it held before, and the ways to change it. */
import { useEffect, useState } from "preact/hooks"
import { call, streamWhileSeen } from "./Api.ts"
import { fromBase64, fromText, readable, shownKey, toBase64 } from "./Bytes.ts"
import { Act } from "./Confirm.tsx"
import { bytes, count } from "./Format.ts"
import { KeyHistory } from "./KeyHistory.tsx"
import { Path } from "./Keys.tsx"
import { Heading, Problem } from "./Parts.tsx"
import type { KeyEntry } from "./Types.ts"
import { ValueView } from "./ValueView.tsx"

/** The entry of a key, read again whenever it changes. `null` for a key that does not exist. */
const useEntry = (id: string) => {
  const [entry, setEntry] = useState<KeyEntry | null>()
  const [problem, setProblem] = useState<string>()
  const [live, setLive] = useState(false)
  const read = async (whole = false) => {
    try {
      setEntry(await call<KeyEntry | null>("get", { key: id, whole }))
      setProblem(undefined)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
  }
  useEffect(() => {
    void read()
    return streamWhileSeen(`/console/watch?prefix=${encodeURIComponent(id)}`, {
      onEvent: (event, data) => {
        setLive(true)
        // It may have changed between the reading and the beginning of the watch.
        if (event === "began") return void read()
        const { changes } = data as { readonly changes: ReadonlyArray<{ readonly key: string }> }
        if (changes.some(({ key }) => key === id)) void read()
      },
      onProblem: (found) => found === undefined ? undefined : setLive(false)
    })
  }, [id])
  return { entry, problem, live, read }
}

const Facts = ({ entry, live }: { readonly entry: KeyEntry; readonly live: boolean }) => (
  <dl class="facts">
    <div>
      <dt>Version</dt>
      <dd>{count(entry.version)}</dd>
    </div>
    <div>
      <dt>Revision</dt>
      <dd>{count(entry.modRevision)}</dd>
    </div>
    <div>
      <dt>Created at</dt>
      <dd>revision {count(entry.createRevision)}</dd>
    </div>
    <div>
      <dt>Size</dt>
      <dd>{bytes(entry.bytes)}</dd>
    </div>
    <div>
      <dt>Lease</dt>
      <dd>{entry.lease === 0 ? "none" : <a href="#/leases">{entry.lease}</a>}</dd>
    </div>
    <div>
      <dt>Live</dt>
      <dd>{live ? "yes, changes show at once" : "no"}</dd>
    </div>
  </dl>
)

interface EditorProps {
  readonly id: string
  readonly name: string
  readonly entry: KeyEntry | null
  readonly onDone: () => void
}

/** What is typed replaces the value that was shown, and nothing that another one wrote meanwhile. */
const Editor = ({ entry, id, name, onDone }: EditorProps) => {
  const before = entry === null ? "" : readable(fromBase64(entry.value)) ?? ""
  const [text, setText] = useState(before)
  const [revision] = useState(entry?.modRevision ?? 0)
  return (
    <div class="editor">
      <label for="editor">New value</label>
      <textarea
        id="editor"
        rows={8}
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <div class="buttons">
        <button type="button" onClick={onDone}>Discard</button>
        <Act
          label="Put"
          about={name}
          verb="Put"
          question={
            <p>
              The key gets a value of{" "}
              {bytes(fromText(text).length)}. Its lease stays as it is. If another one has written to it meanwhile,
              nothing is changed.
            </p>
          }
          act={() => call("put", { key: id, value: toBase64(fromText(text)), revision })}
          onDone={onDone}
        />
      </div>
    </div>
  )
}

const isWhole = (entry: KeyEntry): boolean => fromBase64(entry.value).length === entry.bytes

export const KeyPage = ({ name }: { readonly name: Uint8Array }) => {
  const id = toBase64(name)
  const shown = shownKey(name)
  const { entry, live, problem, read } = useEntry(id)
  const [editing, setEditing] = useState(false)
  // A value that is no text cannot be typed, and one that is shown in part must not be written in part.
  const canEdit = entry !== undefined &&
    (entry === null || (isWhole(entry) && readable(fromBase64(entry.value)) !== undefined))
  const done = () => {
    setEditing(false)
    void read()
  }
  return (
    <>
      <Heading>
        Key <code>{shown}</code>
      </Heading>
      <Path name={name} />
      <Problem text={problem} />
      {entry === undefined
        ? problem === undefined ? <p class="quiet" aria-busy="true">Reading…</p> : null
        : entry === null
        ? <p class="state">There is no such key.</p>
        : (
          <>
            <Facts entry={entry} live={live} />
            {editing ? null : <ValueView value={fromBase64(entry.value)} />}
            {isWhole(entry) ? null : (
              <p>
                The first {bytes(fromBase64(entry.value).length)} are shown.{" "}
                <button type="button" onClick={() => void read(true)}>Show all</button>
              </p>
            )}
          </>
        )}
      {editing && entry !== undefined ? <Editor id={id} name={shown} entry={entry} onDone={done} /> : null}
      {editing || entry === undefined ? null : (
        <div class="buttons">
          {canEdit
            ? <button type="button" onClick={() => setEditing(true)}>{entry === null ? "Create" : "Edit"}</button>
            : <span class="quiet">A value that is no text, or not shown whole, is not edited here.</span>}
          {entry === null ? null : (
            <Act
              label="Delete"
              about={shown}
              verb="Delete"
              danger
              question={<p>Its value stays in the history until that is compacted.</p>}
              act={() => call("delete", { key: id, revision: entry.modRevision })}
              onDone={() => void read()}
            />
          )}
        </div>
      )}
      {entry === null || entry === undefined ? null : <KeyHistory key={entry.modRevision} id={id} />}
    </>
  )
}
