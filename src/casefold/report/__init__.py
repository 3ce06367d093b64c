"""Pictures for people; nothing that predicts imports this."""
