// The source editor: CodeMirror 6 with Python. The build bundles this file, with what it imports,
// into editor.js, an ES module without further imports:
//
//   import { createEditor } from "<editor folder>/editor.js";
//   const editor = createEditor({ parent, doc: source, onRun: () => ... });
//   editor.markError(12, "NameError: name 'x' is not defined");
//
// Colours and font come from CSS variables (--wm-editor-*, with defaults below). CodeMirror adds
// one <style> element to `root`, or adopted style sheets where `root` is a shadow root.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import {
  HighlightStyle,
  bracketMatching,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  EditorView,
  WidgetType,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

const COLOURS = HighlightStyle.define([
  { tag: tags.comment, color: "var(--wm-editor-comment, #6a737d)", fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--wm-editor-string, #1b6a34)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--wm-editor-number, #9a4a00)" },
  {
    tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword, tags.definitionKeyword],
    color: "var(--wm-editor-keyword, #8a2280)",
  },
  {
    tag: [tags.function(tags.variableName), tags.function(tags.definition(tags.variableName))],
    color: "var(--wm-editor-function, #24529c)",
  },
  { tag: [tags.className, tags.typeName], color: "var(--wm-editor-type, #24529c)" },
  { tag: tags.meta, color: "var(--wm-editor-meta, #6b5200)" },
]);

const THEME = EditorView.theme({
  "&": {
    color: "var(--wm-editor-fg, #1f2328)",
    backgroundColor: "var(--wm-editor-bg, #fff)",
    fontSize: "var(--wm-editor-size, 13px)",
    height: "100%",
  },
  ".cm-content": { caretColor: "var(--wm-editor-fg, #1f2328)" },
  ".cm-scroller": { fontFamily: "var(--wm-editor-font, ui-monospace, monospace)", lineHeight: "1.5" },
  ".cm-cursor": { borderLeftColor: "var(--wm-editor-fg, #1f2328)" },
  ".cm-gutters": {
    color: "var(--wm-editor-gutter-fg, #6a737d)",
    backgroundColor: "var(--wm-editor-gutter-bg, #f6f8fa)",
    border: "none",
  },
  ".cm-activeLine, .cm-activeLineGutter": {
    backgroundColor: "var(--wm-editor-line, rgba(128, 128, 128, 0.1))",
  },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--wm-editor-selection, rgba(64, 128, 255, 0.3)) !important",
  },
  ".cm-words": {
    padding: "2px 12px",
    color: "var(--wm-editor-words-fg, #7f1d1d)",
    backgroundColor: "var(--wm-editor-words-bg, #fde8e8)",
    whiteSpace: "pre-wrap",
  },
  ".cm-tooltip, .cm-panels": {
    color: "var(--wm-editor-fg, #1f2328)",
    backgroundColor: "var(--wm-editor-gutter-bg, #f6f8fa)",
  },
});

/** An error message below the line that it is about. */
class Words extends WidgetType {
  /** @param {string} text */
  constructor(text) {
    super();
    this.text = text;
  }

  /** @param {Words} other */
  eq(other) {
    return other.text === this.text;
  }

  toDOM() {
    const line = document.createElement("div");
    line.className = "cm-words";
    line.textContent = this.text;
    return line;
  }
}

/** @type {import("@codemirror/state").StateEffectType<{at: number, text: string} | null>} */
const setWords = StateEffect.define();
const WORDS = StateField.define({
  create: () => Decoration.none,
  update(shown, change) {
    let now = shown.map(change.changes);
    for (const effect of change.effects)
      if (effect.is(setWords))
        now = effect.value
          ? Decoration.set(Decoration.widget({ widget: new Words(effect.value.text), block: true, side: 1 }).range(effect.value.at))
          : Decoration.none;
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/**
 * @typedef {object} Editor
 * @property {() => string} getDoc the current text
 * @property {(text: string) => void} setDoc replace the text (undo brings it back)
 * @property {(line: number, message: string, still?: boolean) => void} markError show a message at
 *   a line (from 1) and below it, and scroll there unless the view is to stay `still`; clearError and
 *   setDoc remove it
 * @property {() => void} clearError
 * @property {() => void} focus
 * @property {() => void} destroy
 */

/**
 * Make an editor inside an element. Tab leaves the editor, as everywhere on the page. Enter indents
 * automatically, Ctrl-] and Ctrl-[ (Cmd on a Mac) indent and dedent, Ctrl-Enter calls `onRun`.
 * @param {object} options
 * @param {Element} options.parent
 * @param {string} [options.doc]
 * @param {string} [options.label] its accessible name
 * @param {boolean} [options.readOnly]
 * @param {(text: string) => void} [options.onChange] called for every edit
 * @param {() => void} [options.onRun]
 * @param {Document | ShadowRoot} [options.root] the root of `parent`, if it is in a shadow tree
 * @returns {Editor}
 */
export function createEditor({
  parent,
  doc = "",
  label = "Python source",
  readOnly = false,
  onChange = () => {},
  onRun = () => {},
  root,
}) {
  const run = () => (onRun(), true);
  const view = new EditorView({
    parent,
    root,
    state: EditorState.create({
      doc,
      extensions: [
        lineNumbers(),
        highlightActiveLineGutter(),
        highlightActiveLine(),
        history(),
        drawSelection(),
        indentOnInput(),
        indentUnit.of("    "),
        EditorState.tabSize.of(4),
        bracketMatching(),
        closeBrackets(),
        autocompletion(),
        highlightSelectionMatches(),
        lintGutter(),
        WORDS,
        python(),
        syntaxHighlighting(COLOURS),
        THEME,
        EditorState.readOnly.of(readOnly),
        // An explicit tab stop: accessibility checkers don't infer one from "contenteditable".
        EditorView.contentAttributes.of({
          "aria-label": label,
          tabindex: "0",
          ...(readOnly ? { "aria-readonly": "true" } : {}),
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
        keymap.of([
          { key: "Mod-Enter", run },
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
      ],
    }),
  });
  const clearError = () => view.dispatch(setDiagnostics(view.state, []), { effects: setWords.of(null) });
  return {
    getDoc: () => view.state.doc.toString(),
    setDoc(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      clearError();
    },
    markError(line, message, still = false) {
      const at = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
      const start = at.from + (at.text.length - at.text.trimStart().length);
      view.dispatch(
        setDiagnostics(view.state, [{ from: start, to: at.to, severity: "error", message }]),
        { effects: setWords.of({ at: at.to, text: message }) },
        ...(still ? [] : [{ effects: EditorView.scrollIntoView(at.from, { y: "center" }) }]),
      );
    },
    clearError,
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
