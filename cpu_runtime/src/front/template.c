#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NO_MEMORY[] = "there is not enough memory";
static const char IMAGE_TAG[] = "<image>";

/* ---- What the user sets ---- */

void template_clear(struct template *template) {
    free(template->system);
    free(template->prefix);
    free(template->postfix);
    free(template->tool_tag);
    *template = (struct template){0};
}

bool template_set(struct template *template, const char *system, const char *prefix,
                  const char *postfix) {
    struct template made = {.system = strdup(system ? system : ""),
                            .prefix = strdup(prefix ? prefix : ""),
                            .postfix = strdup(postfix ? postfix : "")};
    bool ok = made.system && made.prefix && made.postfix;
    template_clear(ok ? template : &made);
    if (ok) *template = made;
    return ok;
}

bool template_set_tools(struct template *template, const engine_facts *facts, const char *system,
                        const char *tools, const char *tag) {
    struct template made = {.tool_tag = strdup(tag ? tag : "")};
    bool ok = made.tool_tag &&
              asprintf(&made.system, "%s%s\n\nFunctions, as JSON:\n%s%s", facts->system_prefix,
                       system ? system : "", tools, facts->system_postfix) >= 0;
    if (!ok) made.system = NULL; /* asprintf leaves it undefined */
    template_clear(ok ? template : &made);
    if (ok) *template = made;
    return ok;
}

/* ---- A list of parts ---- */

void parts_free(struct parts *parts) {
    free(parts->at);
    *parts = (struct parts){0};
}

static bool add(struct parts *parts, struct part part) {
    if (part.length == 0) return true;
    struct part *grown = realloc(parts->at, (parts->n + 1) * sizeof *grown);
    if (!grown) return false;
    parts->at = grown;
    grown[parts->n++] = part;
    return true;
}

static bool add_control(struct parts *parts, const char *text) {
    return add(parts, (struct part){PART_CONTROL, text, NULL, text ? strlen(text) : 0});
}

static bool add_text(struct parts *parts, const char *text, size_t length) {
    return add(parts, (struct part){PART_TEXT, text, NULL, length});
}

/* ---- What the user says ---- */

/* A prompt with every tag replaced by its image. */
static const char *add_pictures(struct parts *parts, const struct request *request, size_t n_embd) {
    size_t rows = request->n_rows / request->n_images, used = 0;
    const char *text = request->text;
    for (const char *tag; (tag = strstr(text, IMAGE_TAG)); text = tag + strlen(IMAGE_TAG)) {
        if (used == request->n_images) return "the prompt has more <image> tags than images";
        const float *image = request->embeddings + used++ * rows * n_embd;
        if (!add_text(parts, text, (size_t)(tag - text)) ||
            !add_control(parts, request->image_start) ||
            !add(parts, (struct part){PART_ROWS, NULL, image, rows}) ||
            !add_control(parts, request->image_end)) {
            return NO_MEMORY;
        }
    }
    if (used < request->n_images) return "the prompt has fewer <image> tags than images";
    return add_text(parts, text, strlen(text)) ? NULL : NO_MEMORY;
}

static const char *add_words(struct parts *parts, const struct request *request,
                             const engine_facts *facts) {
    if (request->type == RKLLM_INPUT_MULTIMODAL) {
        return add_pictures(parts, request, (size_t)facts->n_embd);
    }
    return add_text(parts, request->text, strlen(request->text)) ? NULL : NO_MEMORY;
}

/* What stands around the words of a role. */
struct frame {
    const char *prefix, *postfix;
};

static bool choose_frame(const struct template *template, const engine_facts *facts,
                         const char *role, struct frame *frame) {
    bool own = template->prefix != NULL;
    *frame = own ? (struct frame){template->prefix, template->postfix}
                 : (struct frame){facts->prompt_prefix, facts->prompt_postfix};
    if (strcmp(role, "user") == 0) return true;
    if (strcmp(role, "tool") == 0) {
        if (!own && *facts->tool_prefix) {
            *frame = (struct frame){facts->tool_prefix, facts->tool_postfix};
        }
        return true;
    }
    if (strcmp(role, "system") == 0) {
        *frame = own ? (struct frame){"", ""}
                     : (struct frame){facts->system_prefix, facts->system_postfix};
        return true;
    }
    return false;
}

/* The result of a function stands between <tag> and </tag>. */
static bool add_tag(struct parts *parts, const struct template *template, const char *role,
                    const char *before, const char *after) {
    if (strcmp(role, "tool") != 0 || !template->tool_tag || !*template->tool_tag) return true;
    return add_control(parts, before) && add_control(parts, template->tool_tag) &&
           add_control(parts, after);
}

static const char *add_turn(struct parts *parts, const struct template *template,
                            const engine_facts *facts, const struct request *request) {
    struct frame frame;
    if (!choose_frame(template, facts, request->role, &frame)) {
        return "the role is none of user, tool, system";
    }
    if (!add_control(parts, frame.prefix) ||
        !add_tag(parts, template, request->role, "<", ">\n")) {
        return NO_MEMORY;
    }
    const char *fault = add_words(parts, request, facts);
    if (fault) return fault;
    if (!add_tag(parts, template, request->role, "\n</", ">") ||
        !add_control(parts, frame.postfix)) {
        return NO_MEMORY;
    }
    return NULL;
}

const char *template_render(const struct template *template, const engine_facts *facts,
                            const struct request *request, bool opening, const char *gap,
                            bool plain, struct parts *to) {
    switch (request->type) {
        case RKLLM_INPUT_TOKEN: return NULL;
        case RKLLM_INPUT_EMBED: {
            struct part rows = {PART_ROWS, NULL, request->embeddings, request->n_rows};
            return add(to, rows) ? NULL : NO_MEMORY;
        }
        case RKLLM_INPUT_PROMPT:
        case RKLLM_INPUT_MULTIMODAL: break;
    }
    if (plain) return add_words(to, request, facts);
    if (opening && !add_control(to, template->system)) return NO_MEMORY;
    to->n_system = to->n;
    if (gap && !add_control(to, gap)) return NO_MEMORY;
    return add_turn(to, template, facts, request);
}
