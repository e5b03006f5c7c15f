"""What looks like a key although no variable holds it.

The prefixes are those that the providers document. `tests/test_key_shapes.py` compares the table with the rules of
detect-secrets: that library itself knows few providers of models, is imported slowly (requests), and finds lines
rather than the key in them.
"""

import re

Shape = tuple[str, re.Pattern[str], str]

_ALNUM, _WORD, _HEX, _UPPER = "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[a-f0-9]", "[A-Z0-9]"

# Prefix, kind, and the characters that follow: which, and how many at least.
_PREFIXED = (
    # Models
    ("sk-", "key", _WORD, 20),  # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse
    ("cpk_", "Chutes key", "[A-Za-z0-9_.-]", 20),
    ("hf_", "Hugging Face token", _ALNUM, 30),
    ("api_org_", "Hugging Face token", _ALNUM, 30),
    ("gsk_", "Groq key", _ALNUM, 40),
    ("xai-", "xAI key", _ALNUM, 40),
    ("nvapi-", "NVIDIA key", _WORD, 40),
    ("pplx-", "Perplexity key", _ALNUM, 40),
    ("r8_", "Replicate token", _ALNUM, 30),
    ("csk-", "Cerebras key", _ALNUM, 40),
    ("tgp_v1_", "Together key", _WORD, 40),
    ("fw_", "Fireworks key", _ALNUM, 20),
    ("pa-", "Voyage key", "[A-Za-z0-9_]", 40),
    ("jina_", "Jina key", _WORD, 40),
    ("tvly-", "Tavily key", _WORD, 20),
    ("pcsk_", "Pinecone key", "[A-Za-z0-9_]", 40),
    ("lsv2_", "LangSmith key", _WORD, 40),
    ("wandb_v1_", "Weights & Biases key", _WORD, 40),
    # Clouds and hosts
    ("AIza", "Google key", _WORD, 35),
    ("ya29.", "Google token", _WORD, 20),
    ("GOCSPX-", "Google secret", _WORD, 20),
    ("AKIA", "AWS key", _UPPER, 16),
    ("ASIA", "AWS key", _UPPER, 16),
    ("ABIA", "AWS key", _UPPER, 16),
    ("ACCA", "AWS key", _UPPER, 16),
    ("A3T", "AWS key", _UPPER, 17),
    ("LTAI", "Alibaba key", _ALNUM, 20),
    ("AKCp", "Artifactory token", _ALNUM, 60),
    ("cmVmd", "Artifactory token", _ALNUM, 59),
    ("dapi", "Databricks token", _HEX, 32),
    ("dop_v1_", "DigitalOcean token", _HEX, 60),
    ("doo_v1_", "DigitalOcean token", _HEX, 60),
    ("dckr_pat_", "Docker token", _WORD, 20),
    ("dckr_oat_", "Docker token", _WORD, 20),
    ("FlyV1 ", "Fly.io token", "[A-Za-z0-9_=,/+-]", 60),
    ("hvs.", "Vault token", _WORD, 24),
    ("hvb.", "Vault token", _WORD, 24),
    ("pul-", "Pulumi token", _HEX, 40),
    ("sbp_", "Supabase token", _HEX, 40),
    ("tskey-", "Tailscale key", _WORD, 20),
    # Code, packages, and what is run with them
    ("ghp_", "GitHub token", "[A-Za-z0-9_]", 36),
    ("gho_", "GitHub token", "[A-Za-z0-9_]", 36),
    ("ghu_", "GitHub token", "[A-Za-z0-9_]", 36),
    ("ghs_", "GitHub token", "[A-Za-z0-9_]", 36),
    ("ghr_", "GitHub token", "[A-Za-z0-9_]", 36),
    ("github_pat_", "GitHub token", "[A-Za-z0-9_]", 50),
    *(
        (f"gl{kind}-", "GitLab token", _WORD, 20)
        for kind in ["pat", "dt", "ft", "soat", "rt", "cbt", "imt", "ptt", "agent", "oas"]
    ),
    ("GR1348941", "GitLab token", _WORD, 20),
    ("ATATT3", "Atlassian token", "[A-Za-z0-9_=-]", 60),
    ("ATBB", "Bitbucket password", _ALNUM, 28),
    ("npm_", "npm token", _ALNUM, 36),
    ("pypi-", "PyPI token", _WORD, 50),
    ("rubygems_", "RubyGems key", _HEX, 40),
    ("PMAK-", "Postman key", _WORD, 40),
    ("sntrys_", "Sentry token", "[A-Za-z0-9_=+/-]", 60),
    ("sntryu_", "Sentry token", _HEX, 60),
    ("glsa_", "Grafana token", "[A-Za-z0-9_]", 40),
    ("glc_", "Grafana token", "[A-Za-z0-9+/=]", 40),
    ("NRAK-", "New Relic key", _ALNUM, 27),
    # Messages, money, and notes
    ("SG.", "SendGrid key", "[A-Za-z0-9_.-]", 60),
    ("AC", "Twilio id", "[a-z0-9]", 32),
    ("SK", "Twilio key", "[a-z0-9]", 32),
    ("sk_live_", "Stripe key", _ALNUM, 20),
    ("rk_live_", "Stripe key", _ALNUM, 20),
    ("sk_test_", "Stripe key", _ALNUM, 20),
    ("rk_test_", "Stripe key", _ALNUM, 20),
    ("whsec_", "Stripe secret", "[A-Za-z0-9+/=]", 24),
    ("sq0csp-", "Square secret", r"[A-Za-z0-9_\\-]", 43),
    ("sq0atp-", "Square token", _WORD, 22),
    *((f"shp{kind}_", "Shopify token", _ALNUM, 32) for kind in ["at", "ca", "pa", "ss"]),
    ("lin_api_", "Linear key", _ALNUM, 40),
    ("ntn_", "Notion token", _ALNUM, 40),
    ("ops_eyJ", "1Password token", "[A-Za-z0-9+/=]", 60),
    ("AGE-SECRET-KEY-1", "age key", _UPPER, 58),
)

# Where its end is cut off, to the last line of base64.
_PRIVATE_KEY = (
    r"(?P<key>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:.*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|[\w+/=\s]*))"
)

# What a prefix does not tell: a text that every key of the kind has in it, the kind, and its shape.
_OTHERS = (
    ("xox", "Slack token", r"(?<!\w)(?P<key>xox[a-z](?:\.xox[a-z])?-[\w-]{10,})"),
    ("hooks.slack.com", "Slack address", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<key>[\w/]{20,})"),
    ("-us", "Mailchimp key", r"(?<!\w)(?P<key>[0-9a-z]{32}-us\d{1,2})(?!\w)"),
    (":", "Telegram token", r"(?<![\w:])(?P<key>\d{8,10}:[\w-]{35})(?![\w-])"),
    (".", "Discord token", r"(?<![\w-])(?P<key>[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,38})(?![\w-])"),
    ("Q~", "Azure secret", r"(?<![\w~.-])(?P<key>[\w~.]{3}\dQ~[\w~.-]{31,34})(?![\w~.-])"),
    ("AccountKey=", "Azure key", r"AccountKey=(?P<key>[\w+/=]{40,})"),
    ("_authToken", "npm token", r"_authToken\s*=\s*(?P<key>[^\s\"']{20,})"),
    ("eyJ", "JSON web token", r"(?<![\w-])(?P<key>eyJ[\w=-]{10,}\.[\w=-]{10,}(?:\.[\w.+/=-]*)?)"),
    ("earer", "bearer token", r"[Bb]earer (?P<key>[\w.~+/-]{20,}=*)"),
    ("Basic", "password", r"[Aa]uthorization[\"']?\s*[:=,]\s*b?[\"']?Basic (?P<key>[\w+/-]{8,}=*)"),
    ("PRIVATE KEY", "private key", _PRIVATE_KEY),
    ("PuTTY-User-Key-File", "private key", r"(?P<key>PuTTY-User-Key-File-\d.*?Private-MAC: \w+)"),
    ("://", "password", r"\w://[^\s/:@\"'<>]*:(?P<key>[^\s/:@\"'<>]+)@"),
)  # fmt: skip

# A key begins where a word does, also behind what is escaped.
_START = r"(?:(?<!\w)|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"

SHAPES: tuple[Shape, ...] = tuple(
    (prefix, re.compile(rf"{_START}(?P<key>{re.escape(prefix)}{letters}{{{least},}})"), name)
    for prefix, name, letters, least in _PREFIXED
) + tuple((hint, re.compile(shape, re.DOTALL), name) for hint, name, shape in _OTHERS)
