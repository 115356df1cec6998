/* The parts that only chance or many cases show: the sampler, the UTF-8 hold-back, the threads. */
#include <math.h>
#include <stdlib.h>

#include "front_support.h"
#include "front/abi.h"
#include "front/processors.h"
#include "front/sampler.h"
#include "front/utf8.h"

enum { VOCAB = 50, DRAWS = 20000 };

static const struct sampling PLAIN = {.top_p = 1, .temperature = 1, .repeat_penalty = 1};

/* How often each token is drawn from the same logits; freed by nobody, it is static. */
static const int *draws(const struct sampling *how, const float *logits, const int32_t *recent,
                        size_t n_recent) {
    static int counts[VOCAB];
    struct sampler sampler;
    struct rng random;
    memset(counts, 0, sizeof counts);
    rng_seed(&random, 42);
    CHECK(sampler_open(&sampler, how, VOCAB, &random));
    for (int i = 0; i < DRAWS; i++) counts[sampler_pick(&sampler, logits, recent, n_recent)]++;
    sampler_close(&sampler);
    return counts;
}

/* Within five standard deviations of what the share says. */
static bool near(int count, double share) {
    double n = DRAWS, wanted = share * n, spread = sqrt(n * share * (1 - share));
    return fabs(count - wanted) <= 5 * spread + 1;
}

/* Token i has the logit log(weight): tokens 0 to 3 have 1/2, 1/4, 1/8, 1/8. */
static void set_halves(float *logits) {
    for (int i = 0; i < VOCAB; i++) logits[i] = -1e9f;
    logits[10] = 0;
    logits[20] = (float)log(0.5);
    logits[30] = logits[40] = (float)log(0.25);
}

static int others(const int *counts) {
    return DRAWS - counts[10] - counts[20] - counts[30] - counts[40];
}

static void draws_follow_the_shares(void) {
    float logits[VOCAB];
    set_halves(logits);
    const int *counts = draws(&PLAIN, logits, NULL, 0);
    CHECK(near(counts[10], 0.5) && near(counts[20], 0.25));
    CHECK(near(counts[30], 0.125) && near(counts[40], 0.125) && others(counts) == 0);
}

static void temperature_sharpens(void) {
    float logits[VOCAB];
    struct sampling how = PLAIN;
    set_halves(logits);
    how.temperature = 0.5f; /* squares the shares: 16, 4, 1, 1 of 22 */
    const int *counts = draws(&how, logits, NULL, 0);
    CHECK(near(counts[10], 16.0 / 22) && near(counts[20], 4.0 / 22) && near(counts[40], 1.0 / 22));
}

static void top_k_cuts(void) {
    float logits[VOCAB];
    struct sampling how = PLAIN;
    set_halves(logits);
    how.top_k = 2;
    const int *counts = draws(&how, logits, NULL, 0);
    CHECK(near(counts[10], 2.0 / 3) && near(counts[20], 1.0 / 3) && counts[30] == 0);
    how.top_k = 3; /* of two equal tokens the first stays */
    counts = draws(&how, logits, NULL, 0);
    CHECK(near(counts[30], 1.0 / 7) && counts[40] == 0);
    how.top_k = VOCAB + 10;
    CHECK(near(draws(&how, logits, NULL, 0)[10], 0.5));
}

static void top_p_cuts(void) {
    float logits[VOCAB];
    struct sampling how = PLAIN;
    set_halves(logits);
    how.top_p = 0.7f; /* 1/2 is too little, 3/4 is enough */
    const int *counts = draws(&how, logits, NULL, 0);
    CHECK(near(counts[10], 2.0 / 3) && near(counts[20], 1.0 / 3) && counts[30] == 0);
    how.top_p = 0;
    CHECK(draws(&how, logits, NULL, 0)[10] == DRAWS);
}

static void greedy_takes_the_likeliest(void) {
    float logits[VOCAB];
    struct sampling how = PLAIN;
    set_halves(logits);
    how.top_k = 1;
    CHECK(draws(&how, logits, NULL, 0)[10] == DRAWS);
    how = PLAIN;
    how.temperature = 0;
    CHECK(draws(&how, logits, NULL, 0)[10] == DRAWS);
    logits[20] = 0; /* equal: the first */
    CHECK(draws(&how, logits, NULL, 0)[10] == DRAWS);
    how.mirostat = 2; /* greedy all the same */
    CHECK(draws(&how, logits, NULL, 0)[10] == DRAWS);
}

static void penalties_count(void) {
    float logits[VOCAB];
    int32_t recent[] = {10, 20, 10, -1, 10, VOCAB + 5};
    struct sampling how = PLAIN;
    for (int i = 0; i < VOCAB; i++) logits[i] = -1e9f;
    logits[10] = 2, logits[20] = -1, logits[30] = 0.9f;
    how.top_k = 1;
    CHECK(draws(&how, logits, recent, 6)[10] == DRAWS);
    how.repeat_penalty = 2; /* 10 falls to 1, once, however often it came */
    CHECK(draws(&how, logits, recent, 6)[10] == DRAWS);
    how.repeat_penalty = 2.5f;
    CHECK(draws(&how, logits, recent, 6)[30] == DRAWS);
    how.repeat_penalty = 0; /* as in a zeroed structure: off */
    how.frequency_penalty = 0.35f; /* three times */
    CHECK(draws(&how, logits, recent, 6)[10] == DRAWS);
    how.frequency_penalty = 0.4f;
    CHECK(draws(&how, logits, recent, 6)[30] == DRAWS);
    how.frequency_penalty = 0;
    how.presence_penalty = 1; /* once */
    CHECK(draws(&how, logits, recent, 6)[10] == DRAWS);
    how.presence_penalty = 1.2f;
    CHECK(draws(&how, logits, recent, 6)[30] == DRAWS);
    logits[30] = -1.5f; /* a penalty makes a negative score no likelier */
    how = PLAIN;
    how.top_k = 1;
    how.repeat_penalty = 2;
    logits[10] = -1e9f;
    CHECK(draws(&how, logits, recent, 6)[30] == DRAWS);
}

/* The mean surprise of draws from a long-tailed distribution, in bits. */
static double surprise_under(int version, float tau) {
    static float logits[1000];
    struct sampling how = PLAIN;
    struct sampler sampler;
    struct rng random;
    double sum = 0, total = 0;
    for (int i = 0; i < 1000; i++) {
        logits[i] = (float)(-1.1 * log(i + 1));
        total += exp((double)logits[i]);
    }
    how.mirostat = version;
    how.mirostat_tau = tau;
    how.mirostat_eta = 0.1f;
    rng_seed(&random, 7);
    CHECK(sampler_open(&sampler, &how, 1000, &random));
    for (int i = 0; i < 3000; i++) {
        int32_t id = sampler_pick(&sampler, logits, NULL, 0);
        if (i >= 1000) sum += -log2(exp((double)logits[id]) / total);
    }
    sampler_close(&sampler);
    return sum / 2000;
}

/* The aim counts surprise among the tokens that are left, so the whole distribution's is above it,
 * but it has to follow. */
static void mirostat_follows_its_aim(void) {
    double unbounded = surprise_under(0, 0);
    for (int version = 1; version <= 2; version++) {
        double two = surprise_under(version, 2), four = surprise_under(version, 4);
        CHECK(two > 1.5 && two < 4);
        CHECK(four > two + 0.8 && four < unbounded);
        CHECK(surprise_under(version, 0) < two - 0.5);
    }
}

static void odd_logits_do_no_harm(void) {
    float logits[VOCAB];
    struct sampling how = PLAIN;
    for (int i = 0; i < VOCAB; i++) logits[i] = strtof("nan", NULL);
    logits[7] = 1;
    CHECK(draws(&how, logits, NULL, 0)[7] == DRAWS);
    logits[9] = strtof("inf", NULL);
    CHECK(draws(&how, logits, NULL, 0)[9] == DRAWS);
    for (int i = 0; i < VOCAB; i++) logits[i] = -strtof("inf", NULL);
    CHECK(near(draws(&how, logits, NULL, 0)[3], 1 / (double)VOCAB));
    for (how.mirostat = 1; how.mirostat <= 2; how.mirostat++) draws(&how, logits, NULL, 0);
}

static void seeds_fix_everything(void) {
    struct rng one, two;
    double sum = 0;
    rng_seed(&one, 5);
    rng_seed(&two, 5);
    for (int i = 0; i < 10000; i++) {
        double value = rng_next(&one);
        CHECK(value == rng_next(&two) && value >= 0 && value < 1);
        sum += value;
    }
    CHECK(fabs(sum / 10000 - 0.5) < 0.02);
    setenv("RKLLM_CPU_SEED", "5", 1);
    rng_start(&one);
    rng_seed(&two, 5);
    CHECK(rng_next(&one) == rng_next(&two));
    unsetenv("RKLLM_CPU_SEED");
    rng_start(&one);
    rng_start(&two);
    CHECK(rng_next(&one) != rng_next(&two));
}

/* ---- UTF-8 ---- */

/* Push byte by byte and flush; then all at once. Both must give the same. */
static void becomes(const char *bytes, size_t length, const char *wanted) {
    char got[256] = "", whole[256];
    struct utf8_hold hold = {0};
    size_t n = 0;
    for (size_t i = 0; i < length; i++) n += utf8_push(&hold, bytes + i, 1, got + n);
    utf8_flush(&hold, got + n);
    CHECK_TEXT(got, wanted);
    n = utf8_push(&hold, bytes, length, whole);
    utf8_flush(&hold, whole + n);
    CHECK_TEXT(whole, wanted);
    CHECK(hold.length == 0);
}

#define BECOMES(bytes, wanted) becomes(bytes, sizeof bytes - 1, wanted)
#define R "\xef\xbf\xbd"

static void characters_are_made_whole(void) {
    BECOMES("", "");
    BECOMES("plain", "plain");
    BECOMES("caf\xc3\xa9", "caf\xc3\xa9");
    BECOMES("\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80");
    BECOMES("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf");
}

static void what_is_none_is_replaced(void) {
    BECOMES("\xff", R);
    BECOMES("\x80\x80", R R);
    BECOMES("\xc0\xaf", R R);         /* overlong */
    BECOMES("\xe0\x80\xaf", R R R);   /* overlong */
    BECOMES("\xed\xa0\x80", R R R);   /* a surrogate */
    BECOMES("\xf4\x90\x80\x80", R R R R); /* beyond U+10FFFF */
    BECOMES("\xf5\x80", R R);
    BECOMES("\xe2\x82", R);           /* cut short: one character, one replacement */
    BECOMES("\xe2\x82x", R "x");
    BECOMES("\xe2\xe2\x82\xac", R "\xe2\x82\xac");
    BECOMES("\xf0\x9f\x98\xc3\xa9", R "\xc3\xa9");
}

/* ---- Threads ---- */

#if RKLLM_ABI >= 10200
static struct settings settings_with(int8_t number, uint32_t mask) {
    RKLLMParam param = rkllm_createDefaultParam();
    struct settings settings = {0};
    param.model_path = "model.gguf";
    param.extend_param.enabled_cpus_num = number;
    param.extend_param.enabled_cpus_mask = mask;
    CHECK(abi_read_param(&param, &settings) == NULL);
    settings_free(&(struct settings){.model_path = settings.model_path,
                                     .image_start = settings.image_start,
                                     .image_end = settings.image_end});
    return settings;
}

static void what_differs_from_the_defaults_is_asked_for(void) {
    static const struct {
        int8_t number;
        uint32_t mask;
        bool asked;
        int32_t processors;
    } CASES[] = {
        {4, 0x0F, false, 4}, {2, 0x0F, true, 2}, {8, 0x0F, true, 8},  {4, 0x03, true, 2},
        {4, 0xF0, true, 4},  {6, 0x07, true, 3}, {2, 0xFF, true, 2},  {0, 0, false, 4},
        {-1, 0x01, true, 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct settings settings = settings_with(CASES[i].number, CASES[i].mask);
        CHECK(settings.processors_asked == CASES[i].asked);
        CHECK(settings.n_processors == CASES[i].processors);
    }
}
#else
static void what_differs_from_the_defaults_is_asked_for(void) {}
#endif

static void no_more_processors_are_used_than_there_are(void) {
    int32_t allowed = processors_allowed();
    CHECK(allowed >= 1 && processors_to_use(0) >= 1 && processors_to_use(0) <= allowed);
    CHECK(processors_to_use(1) == 1 && processors_to_use(100000) <= allowed);
    setenv("RKLLM_CPU_THREADS", "100000", 1);
    CHECK(processors_in_environment() == allowed);
    setenv("RKLLM_CPU_THREADS", "1", 1);
    CHECK(processors_in_environment() == 1);
    setenv("RKLLM_CPU_THREADS", "-3", 1);
    CHECK(processors_in_environment() == 0);
    unsetenv("RKLLM_CPU_THREADS");
    CHECK(processors_in_environment() == 0);
}

int main(void) {
    what_differs_from_the_defaults_is_asked_for();
    no_more_processors_are_used_than_there_are();
    draws_follow_the_shares();
    temperature_sharpens();
    top_k_cuts();
    top_p_cuts();
    greedy_takes_the_likeliest();
    penalties_count();
    mirostat_follows_its_aim();
    odd_logits_do_no_harm();
    seeds_fix_everything();
    characters_are_made_whole();
    what_is_none_is_replaced();
    return finish_checks("front_units");
}
