"""OpenAI's API over our engine: the models, chats about pictures, responses and completions.

`messages` reads what a chat says and shows, `forms` which form its answer should have, `captions`
captions its pictures and `answers` writes the captions down; `chat` and `responses` are two routes
over these. `completions` is the language models' route, and `writing` has them continue chats.
"""

from app.http.compat.openai import chat, completions, models, responses

__all__ = ["ROUTERS"]

ROUTERS = (models.router, chat.router, responses.router, completions.router)
